//! The objects that are loaded into this process: the program, and its shared libraries.
//!
//! Each lies at an address of its own in each process. What an address stands for is said to
//! another process by the object and the distance from its base:
//!
//! ```text
//!   address ──▶ identity of the object, distance      there: same identity ──▶ base + distance
//! ```

use std::ffi::CStr;
use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};

/// What tells one build of a program from another: the GNU build id, where the linker wrote one;
/// else what its code looks like. Not the file's name, number or times: who touches, copies
/// or moves a program has not built another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildId {
    note: Vec<u8>,
    /// 0 if there is a note.
    code: u64,
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.note.is_empty() {
            return write!(f, "{:016x} (of its code)", self.code);
        }
        self.note
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One loaded object, while it is looked at.
#[derive(Debug)]
pub struct Object<'a> {
    base: usize,
    name: &'a CStr,
    headers: &'a [libc::Elf64_Phdr],
}

impl Object<'_> {
    /// The address that distances are counted from.
    pub fn base(&self) -> usize {
        self.base
    }

    /// Where its own list of its parts lies.
    pub fn headers_at(&self) -> usize {
        self.headers.as_ptr().addr()
    }

    /// The last part of its file's name; empty for the program itself.
    pub fn name(&self) -> String {
        let name = self.name.to_string_lossy();
        name.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The readable part of it (its code, or its constants, say) that contains an address.
    pub fn part(&self, address: usize) -> Option<Range<usize>> {
        let mut parts = self
            .headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0);
        parts.find_map(|part| Some(self.range(part)).filter(|range| range.contains(&address)))
    }

    /// Its identity.
    pub fn build(&self) -> BuildId {
        let mut build = BuildId {
            note: Vec::new(),
            code: 0,
        };
        for header in self.headers.iter().filter(|h| h.p_type == libc::PT_NOTE) {
            let range = self.range(header);
            // SAFETY: a PT_NOTE segment is mapped readable with the object.
            let notes =
                unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) };
            if let Some(id) = build_id(notes) {
                build.note = id.to_vec();
            }
        }
        if !build.note.is_empty() {
            return build;
        }
        for header in self.headers {
            build.code = build.code.rotate_left(7) ^ header.p_memsz ^ header.p_vaddr;
        }
        let is_code = |h: &&libc::Elf64_Phdr| {
            h.p_type == libc::PT_LOAD && h.p_flags & (libc::PF_X | libc::PF_R | libc::PF_W) == CODE
        };
        for header in self.headers.iter().filter(is_code) {
            let start = self.range(header).start as *const u8;
            // SAFETY: the loader has mapped so much of the file there, readable; nothing
            // writes to it, and nothing in it was changed for this process.
            let code = unsafe { std::slice::from_raw_parts(start, header.p_filesz as usize) };
            build.code = sample(code, build.code);
        }
        build
    }

    fn range(&self, header: &libc::Elf64_Phdr) -> Range<usize> {
        let start = self.base.wrapping_add(header.p_vaddr as usize);
        start..start.saturating_add(header.p_memsz as usize)
    }
}

/// Shows each loaded object to `f`, the program first, until it breaks off. `f` does not
/// panic.
pub fn each_object(mut f: impl FnMut(&Object<'_>) -> ControlFlow<()>) {
    let mut f: &mut dyn FnMut(&Object<'_>) -> ControlFlow<()> = &mut f;
    // SAFETY: the callback gets the pointer to `f`, which outlives the call, and does not
    // unwind.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut f).cast()) };
}

/// Looks at one loaded object.
///
/// # Safety
/// `info` is a valid record, and `data` what `each_object` lends for the duration of the call.
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: as this function asks.
    let (info, f) = unsafe {
        (
            &*info,
            &mut *data.cast::<&mut dyn FnMut(&Object<'_>) -> ControlFlow<()>>(),
        )
    };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: the loader keeps a name that ends in a zero.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    // SAFETY: the loader keeps `dlpi_phnum` headers at `dlpi_phdr`.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let object = Object {
        base: info.dlpi_addr as usize,
        name,
        headers,
    };
    f(&object).is_break().into()
}

/// What may be run and not written to.
const CODE: u32 = libc::PF_X | libc::PF_R;

/// A number made of `seed`, the length of `code` and some of its bytes, from everywhere: all of a large program would
/// have to be read in first.
fn sample(code: &[u8], seed: u64) -> u64 {
    const SAMPLES: usize = 128;
    const LEN: usize = 64;
    let step = (code.len() / SAMPLES).max(LEN);
    let taken = code.chunks(step).flat_map(|part| part.iter().take(LEN));
    // FNV-1a.
    taken.fold(seed ^ code.len() as u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The description of the note `GNU`, type 3, among ELF notes.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let word = |at: &[u8], i: usize| Some(u32::from_ne_bytes(at.get(i..i + 4)?.try_into().ok()?));
    let align = |n: u32| (n as usize).next_multiple_of(4);
    while notes.len() >= 12 {
        let (name_len, len, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let name = notes.get(12..12 + name_len as usize)?;
        let start = 12 + align(name_len);
        let description = notes.get(start..start.checked_add(len as usize)?)?;
        if name == b"GNU\0" && kind == NT_GNU_BUILD_ID {
            return Some(description);
        }
        notes = notes.get(start + align(len)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_one_object() {
        let here = an_address_belongs_to_one_object as fn() as usize;
        let mut found = Vec::new();
        each_object(|object| {
            if object.part(here).is_some() {
                found.push((object.name(), object.build()));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(found.len(), 1, "{found:?}");
        let mut seen = 0;
        each_object(|_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn samples_differ_where_the_code_does() {
        let code: Vec<u8> = (0..100_000u32)
            .map(|at| (at.wrapping_mul(at) >> 8) as u8)
            .collect();
        assert_eq!(sample(&code, 1), sample(&code.clone(), 1));
        assert_ne!(sample(&code, 1), sample(&code[1..], 1));
        assert_ne!(sample(&code, 1), sample(&code[..99_999], 1));
        assert_ne!(sample(&code, 1), sample(&code, 2));
        assert_ne!(sample(&[], 1), sample(&[0], 1));
    }

    #[test]
    fn reads_the_note() {
        let mut notes = Vec::new();
        for word in [4u32, 2, 1] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(b"GNU\0\x01\x02\0\0");
        for word in [4u32, 3, 3] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(b"GNU\0\xaa\xbb\xcc\0");
        assert_eq!(build_id(&notes), Some(&[0xaa, 0xbb, 0xcc][..]));
        assert_eq!(build_id(&notes[..20]), None);
        assert_eq!(build_id(&[0xff; 40]), None, "nonsense is no build id");
    }
}
