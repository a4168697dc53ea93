//! The program this process runs: its identity, and where its parts lie.

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

/// A part of the running executable, and its identity.
#[derive(Clone, Debug)]
pub struct Executable {
    part: std::ops::Range<usize>,
    build: BuildId,
}

impl Executable {
    /// Finds the loaded object that contains address `anchor`, and the part of it that
    /// does (a segment: its code, or its constants).
    pub fn containing(anchor: usize) -> std::io::Result<Self> {
        let mut search = Search {
            anchor,
            part: 0..0,
            note: Vec::new(),
            code: 0,
        };
        // SAFETY: the callback gets the pointer to `search`, which outlives the
        // call, and does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        if search.part.is_empty() {
            return Err(std::io::Error::other(
                "the program's own constants were not found",
            ));
        }
        Ok(Executable {
            part: search.part,
            build: BuildId {
                note: search.note,
                code: search.code,
            },
        })
    }

    /// Where the part that contains the anchor lies in this process.
    pub fn part(&self) -> std::ops::Range<usize> {
        self.part.clone()
    }

    /// Its identity.
    pub fn build(&self) -> &BuildId {
        &self.build
    }
}

/// The dynamic loader, if this program was given to it as an argument (`ld.so PROGRAM`): then
/// to start `/proc/self/exe` is to start the loader.
pub fn loader() -> Option<std::path::PathBuf> {
    let started = std::fs::read_link("/proc/self/exe").ok()?;
    let mut address = 0usize;
    // SAFETY: the callback gets the pointer to `address`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit_first), (&raw mut address).cast()) };
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let (from, rest) = line.split_once('-')?;
        let (to, rest) = rest.split_once(' ')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let path = rest.find('/').map(|at| &rest[at..])?;
        (number(from)?..number(to)?)
            .contains(&address)
            .then_some(path)
    })?;
    (std::path::Path::new(path) != started).then_some(started)
}

/// Looks at the first loaded object, which is the program.
///
/// # Safety
/// `info` is a valid record and `data` an exclusive `usize`.
unsafe extern "C" fn visit_first(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: dl_iterate_phdr passes a valid record, and `data` is what `loader` lent.
    unsafe { *data.cast::<usize>() = (*info).dlpi_phdr.addr() };
    1
}

struct Search {
    anchor: usize,
    part: std::ops::Range<usize>,
    note: Vec<u8>,
    code: u64,
}

/// Looks at one loaded object.
///
/// # Safety
/// `info` is a valid record and `data` an exclusive `Search`.
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: dl_iterate_phdr passes a valid record, and `data` is the `Search`
    // that `containing` lent for the duration of the call.
    let (info, search) = unsafe { (&*info, &mut *data.cast::<Search>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader keeps `dlpi_phnum` headers at `dlpi_phdr`.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let range = |header: &libc::Elf64_Phdr| {
        let start = info.dlpi_addr as usize + header.p_vaddr as usize;
        start..start + header.p_memsz as usize
    };
    let part = headers.iter().find(|header| {
        header.p_type == libc::PT_LOAD
            && header.p_flags & libc::PF_R != 0
            && range(header).contains(&search.anchor)
    });
    let Some(part) = part else { return 0 };
    search.part = range(part);
    for header in headers.iter().filter(|h| h.p_type == libc::PT_NOTE) {
        let range = range(header);
        // SAFETY: a PT_NOTE segment is mapped readable with the object.
        let notes = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) };
        if let Some(id) = build_id(notes) {
            search.note = id.to_vec();
        }
    }
    if search.note.is_empty() {
        for header in headers {
            search.code = search.code.rotate_left(7) ^ header.p_memsz ^ header.p_vaddr;
        }
        let is_code = |h: &&libc::Elf64_Phdr| {
            h.p_type == libc::PT_LOAD && h.p_flags & (libc::PF_X | libc::PF_R | libc::PF_W) == CODE
        };
        for header in headers.iter().filter(is_code) {
            let start = range(header).start as *const u8;
            // SAFETY: the loader has mapped so much of the file there, readable; nothing
            // writes to it, and nothing in it was changed for this process.
            let code = unsafe { std::slice::from_raw_parts(start, header.p_filesz as usize) };
            search.code = sample(code, search.code);
        }
    }
    1
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
    fn finds_itself() {
        let anchor = finds_itself as fn() as usize;
        let me = Executable::containing(anchor).expect("own executable");
        assert!(me.part().contains(&anchor));
        assert_eq!(
            me.build(),
            Executable::containing(anchor).expect("again").build()
        );
    }

    #[test]
    fn no_loader_has_started_it() {
        assert_eq!(loader(), None);
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
