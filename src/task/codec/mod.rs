//! How values travel: equal, or not at all.
//!
//! Serde does not promise that a type's `Deserialize` asks for what its `Serialize` has
//! written; formats that say what each value is (JSON, say) get along with that, compact
//! ones do not, and give another value. So there are two forms, and a third for doubt:
//!
//! | form | bytes | for |
//! | --- | --- | --- |
//! | plain | values without a word about them | types that were seen to ask for what they have written |
//! | checked | plain, then the number of its shape, 1 | types of too many shapes to have seen each; the reader compares |
//! | named | each value says what it is, then 2 | all others: fields that are left out, `flatten`, `untagged`, skipped variants .. |
//!
//! All but the plain form are *marked*: the slot says so ([`Outcome`](crate::task::Outcome)).
//!
//! **Who decides.** Whoever writes. Each plain value has a *shape*: which calls of serde's
//! made it ([`shape`]). A shape that a type has not had before is read back on the spot, by
//! the type's own `Deserialize`; if that asks for the same, by the same names, the shape is
//! known from then on ([`known`]), and to look that up is all that later values pay. If not,
//! the type has the named form for good. Each named value is read back, and written again:
//! if that differs it is refused, as is what cannot be read back at all.
//!
//! A few types are known from the start ([`is_sure`]): numbers, and lists, options and texts.
//!
//! **Where it goes.** Up to 48 bytes into the slot, more onto the heap, and from there into a
//! block. When it turns out that it is long ([`Length`]), it is begun anew: its bytes are
//! counted, which takes no time for lists of numbers, and it is written into a block at once.
//!
//! What serde itself does not show cannot be seen: a field with `skip` is not sent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::{Encoding, Parcel, Pool, Transfer, decoding, encoding, forget_met, met};

use super::Payload;

mod depth;
mod fault;
mod known;
mod named;
mod plain;
mod shape;
#[cfg(all(test, not(loom)))]
mod tests;

pub use fault::Fault;

use fault::Kind;
use known::About;
pub use plain::Brief;
pub use plain::is_flat;
use plain::{Length, Name, Names, Reader, Writer, is_sure, read_flat};

/// The last byte of a checked value.
const CHECKED: u8 = 1;
/// The last byte of a named value.
const NAMED: u8 = 2;

/// Appends a value of the library's own types, in the plain form.
#[inline(always)]
fn encode_own<T: Serialize + ?Sized>(value: &T, out: &mut Payload) -> Result<(), Fault> {
    value.serialize(&mut Writer::new(out))
}

impl Payload {
    /// Appends a value of the library's own types; those of others by [`encode`].
    #[inline]
    pub fn encode<T: Serialize>(&mut self, value: &T) -> Result<(), Fault> {
        encode_own(value, self)
    }
}

/// Reads what [`Payload::encode`] has written; `None` if the bytes are something else.
pub fn decode_own<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    decode(bytes, false).ok()
}

/// Appends the length of a list, as it stands in front of its elements.
pub fn encode_len(len: u32, out: &mut Payload) {
    // A payload has room.
    let _ = Writer::new(out).varint(len.into());
}

/// Where the bytes of a long value go.
#[derive(Clone, Copy)]
pub enum Room<'a> {
    /// Onto the heap, as those of a short one that does not fit into a slot.
    Heap,
    /// Into a block of this pool, as far as it has room.
    Pool(&'a dyn Fn() -> Option<Pool>),
    /// Nowhere: that it is long is an error.
    None,
}

/// What a block has room for behind a value: parcels, and what says in which form it is.
const BEHIND: usize = 255 * Parcel::WORDS * 8 + 16;

/// A value of some type, for whatever need not know of which: that is compiled once, and not for
/// each type again.
pub trait Value {
    /// What its type is called.
    fn type_name(&self) -> &'static str;

    /// Whether every value of its type comes back.
    fn is_sure(&self) -> bool;

    /// Writes it in the plain form.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Fault>;

    /// Writes it in the named form.
    fn write_named(&self, writer: &mut named::Writer) -> Result<(), Fault>;

    /// Reads another one of its type in the plain form, and drops it.
    fn read(&self, reader: &mut Reader<'_, '_>) -> Result<(), Fault>;

    /// Reads another one of its type in the named form, and lends it.
    fn read_named(
        &self,
        reader: &mut named::Reader<'_>,
        lend: &mut dyn FnMut(&dyn Value, &named::Reader<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault>;
}

impl<T: Serialize + DeserializeOwned> Value for T {
    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn is_sure(&self) -> bool {
        is_sure::<T>()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        self.serialize(writer)
    }

    fn write_named(&self, writer: &mut named::Writer) -> Result<(), Fault> {
        self.serialize(writer)
    }

    fn read(&self, reader: &mut Reader<'_, '_>) -> Result<(), Fault> {
        T::deserialize(reader).map(drop)
    }

    fn read_named(
        &self,
        reader: &mut named::Reader<'_>,
        lend: &mut dyn FnMut(&dyn Value, &named::Reader<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let value = T::deserialize(&mut *reader)?;
        lend(&value, reader)
    }
}

/// A value, and what must be known of its type to encode it.
#[derive(Clone, Copy)]
pub struct Erased<'a> {
    value: &'a dyn Value,
    /// A number of its own for each type; types with the same code may share one.
    id: usize,
}

impl<'a> Erased<'a> {
    /// Of this value.
    #[inline(always)]
    pub fn of<T: Serialize + DeserializeOwned>(value: &'a T) -> Self {
        Erased {
            value,
            id: id::<T>(),
        }
    }

    /// Why it does not travel, in words.
    #[cold]
    pub fn untold(&self, fault: &Fault) -> String {
        untold_of(self.value.type_name(), fault)
    }
}

/// Appends a value, in one form or another; for use inside of [`encoding`].
#[inline(always)]
pub fn encode<T>(value: &T, out: &mut Payload, room: Room<'_>) -> Result<(), Fault>
where
    T: Serialize + DeserializeOwned,
{
    let start = out.len();
    let written = write_plain(value, out, room);
    if is_done::<T>(&written) {
        return Ok(());
    }
    settle(Erased::of(value), out, start, room, written)
}

/// The same with the buffers that are in the value, in order. Where the type alone says that there
/// are none, and that nobody else's code runs, nothing is made ready for them.
#[inline(always)]
pub fn encode_with_buffers<T>(
    value: &T,
    out: &mut Payload,
    room: Room<'_>,
) -> (Result<(), Fault>, Vec<Transfer>)
where
    T: Serialize + DeserializeOwned,
{
    if !is_sure::<T>() {
        // Without a closure, which would be a function of its own, to which `room` is moved.
        let encoding = Encoding::begin();
        let encoded = encode(value, out, room);
        return (encoded, encoding.buffers());
    }
    let start = out.len();
    let written = write_plain(value, out, room);
    if is_done::<T>(&written) {
        return (Ok(()), Vec::new());
    }
    encoding(|| settle(Erased::of(value), out, start, room, written))
}

/// Writes a value in the plain form, if it is short and known to come back so. False if not; there
/// may be buffers in it in any case.
#[inline(always)]
pub fn encode_brief<T>(value: &T, out: &mut Brief) -> (bool, Vec<Transfer>)
where
    T: Serialize + DeserializeOwned,
{
    if is_sure::<T>() {
        return (value.serialize(&mut Writer::new(out)).is_ok(), Vec::new());
    }
    let encoding = Encoding::begin();
    let mut writer = Writer::new(out);
    let is_whole = value.serialize(&mut writer).is_ok();
    let is_well = is_whole && known::is_known(id::<T>(), writer.shape);
    (is_well, encoding.buffers())
}

/// What became of writing the plain form: the value's shape, and whether it is long.
type Written = (Result<(), Fault>, u64, Length);

#[inline(always)]
fn write_plain<T: Serialize>(value: &T, out: &mut Payload, room: Room<'_>) -> Written {
    let mut writer = Writer::new(out);
    if !matches!(room, Room::Heap) {
        writer.length = Length::Short;
    }
    let written = value.serialize(&mut writer);
    (written, writer.shape, writer.length)
}

/// Whether that was all.
#[inline(always)]
fn is_done<T>((written, shape, length): &Written) -> bool
where
    T: Serialize + DeserializeOwned,
{
    let is_well = written.is_ok() && (is_sure::<T>() || known::is_known(id::<T>(), *shape));
    is_well && *length != Length::Long
}

/// The same as [`encode`] for a value whose type is not known here: slower, and compiled once.
pub fn encode_erased(value: Erased<'_>, out: &mut Payload, room: Room<'_>) -> Result<(), Fault> {
    let start = out.len();
    let mut writer = Writer::new(out);
    if !matches!(room, Room::Heap) {
        writer.length = Length::Short;
    }
    let written = value.value.write(&mut writer);
    let (shape, length) = (writer.shape, writer.length);
    settle(value, out, start, room, (written, shape, length))
}

/// Writes a value of which it turned out that it is long: counts its bytes first.
#[cold]
#[inline(never)]
fn write_long(
    value: &dyn Value,
    out: &mut Payload,
    start: usize,
    pool: &dyn Fn() -> Option<Pool>,
) -> (Result<(), Fault>, u64) {
    rewind(out, start);
    let mut counted = Payload::counting(start);
    let mut counter = Writer::new(&mut counted);
    let written = value.write(&mut counter);
    let shape = counter.shape;
    rewind(out, start);
    if written.is_err() {
        return (written, shape);
    }
    // If there is none now, whoever sends it waits for it.
    let block = pool().and_then(|pool| pool.alloc(counted.len() + BEHIND).ok());
    if let Some(block) = block {
        out.move_into(block);
    }
    let mut writer = Writer::new(out);
    let written = value.write(&mut writer);
    (written, writer.shape)
}

/// A number of its own for each type; types with the same code may share one.
#[inline(always)]
fn id<T>() -> usize
where
    T: Serialize + DeserializeOwned,
{
    type Erase<T> = for<'a> fn(&'a T) -> &'a (dyn Value + 'a);
    let erase: Erase<T> = erase::<T>;
    erase as usize
}

/// Its address stands for all that is done with the type: two of the same code lead to the same.
#[inline(never)]
fn erase<T: Serialize + DeserializeOwned>(value: &T) -> &dyn Value {
    value
}

/// What is done about a value that is long, or whose shape is not known to be well.
#[inline(never)]
fn settle(
    erased: Erased<'_>,
    out: &mut Payload,
    start: usize,
    room: Room<'_>,
    (mut written, mut shape, length): Written,
) -> Result<(), Fault> {
    let Erased { value, id } = erased;
    if length == Length::Long {
        let Room::Pool(pool) = room else {
            return Err(Fault::new(Kind::Beyond, "it is long"));
        };
        (written, shape) = write_long(value, out, start, pool);
    }
    if written.is_ok() && (value.is_sure() || known::is_known(id, shape)) {
        return Ok(());
    }
    if let Err(fault) = written {
        return match fault.kind() {
            Kind::Beyond => Err(fault),
            // What it says about one form may not be so for another.
            Kind::Own | Kind::Mismatch => named(value, out, start),
            Kind::Unfit => {
                known::needs_names(id);
                named(value, out, start)
            }
        };
    }
    match known::about(id, shape) {
        About::Well => Ok(()),
        About::Named => named(value, out, start),
        About::Doubted => checked(value, out, start),
        About::New => first(value, id, out, start, shape),
    }
}

/// Forgets what was written of a value.
fn rewind(out: &mut Payload, start: usize) {
    out.truncate(start);
    forget_met();
}

/// Writes the plain form once more, with a list of names.
fn write_with_names(
    value: &dyn Value,
    out: &mut Payload,
    start: usize,
) -> Result<(u64, Vec<Name>), Fault> {
    rewind(out, start);
    let mut writer = Writer::new(out);
    writer.names = Some(Vec::new());
    value.write(&mut writer)?;
    Ok((writer.shape, writer.names.unwrap_or_default()))
}

/// A value of a shape that was not seen before.
fn first(
    value: &dyn Value,
    id: usize,
    out: &mut Payload,
    start: usize,
    shape: u64,
) -> Result<(), Fault> {
    let (again, names) = write_with_names(value, out, start)?;
    let Some(mut buffers) = met().filter(|_| again == shape) else {
        // There is only one of a writable buffer: it cannot be read back here.
        return checked(value, out, start);
    };
    let bytes = &out.bytes()[start..];
    let read_back = || {
        let mut reader = Reader::new(bytes, Names::Compared(&names));
        value.read(&mut reader)?;
        let is_all = reader.rest.is_empty() && matches!(reader.names, Names::Compared([]));
        Ok::<_, Fault>(is_all && reader.shape == shape)
    };
    match catch_unwind(AssertUnwindSafe(|| decoding(&mut buffers, read_back))) {
        Ok(Ok(true)) => {
            known::note_well(id, shape);
            Ok(())
        }
        Ok(Err(fault)) if fault.is_beyond() => Err(fault),
        // Perhaps it is this value alone that it does not like.
        Ok(Err(fault)) if fault.kind() == Kind::Own => named(value, out, start),
        Ok(Ok(false) | Err(_)) => {
            known::needs_names(id);
            named(value, out, start)
        }
        // Whoever receives it will have to say so.
        Err(_) => checked(value, out, start),
    }
}

/// Has the reader compare the shape.
fn checked(value: &dyn Value, out: &mut Payload, start: usize) -> Result<(), Fault> {
    let (shape, names) = write_with_names(value, out, start)?;
    let variants = names.iter().filter_map(|name| match name {
        Name::Variant(name) => Some(name),
        Name::Field(_) => None,
    });
    let sum = variants.fold(0, |sum, name| shape::and_name(sum, name));
    out.extend(&shape::and(shape, sum).to_le_bytes());
    out.mark(CHECKED);
    Ok(())
}

/// The named form; only if it gives the value back.
fn named(value: &dyn Value, out: &mut Payload, start: usize) -> Result<(), Fault> {
    rewind(out, start);
    let mut writer = named::Writer::default();
    value.write_named(&mut writer)?;
    let bytes = writer.out;
    if let Some(mut buffers) = met() {
        let read_back = || {
            let mut writer = named::Writer::default();
            let mut write_again = |value: &dyn Value, reader: &named::Reader<'_>| {
                all_read((), reader.rest)?;
                encoding(|| value.write_named(&mut writer)).0
            };
            value.read_named(&mut named::Reader::new(&bytes), &mut write_again)?;
            Ok::<_, Fault>(
                writer.out == bytes || named::digest(&writer.out) == named::digest(&bytes),
            )
        };
        let is_same = catch_unwind(AssertUnwindSafe(|| decoding(&mut buffers, read_back)));
        match is_same {
            // Whoever receives it will have to say so, if it panics there too.
            Ok(Ok(true)) | Err(_) => {}
            Ok(Ok(false)) => {
                return Err(Fault::new(
                    Kind::Own,
                    "read back it is another value (a field that is left out gets another default, or another variant fits too)",
                ));
            }
            Ok(Err(fault)) => {
                let words = format!("it cannot be read back: {fault}");
                return Err(Fault::new(fault.kind(), words));
            }
        }
    }
    out.extend(&bytes);
    out.mark(NAMED);
    Ok(())
}

#[inline(always)]
fn all_read<T>(value: T, rest: &[u8]) -> Result<T, Fault> {
    if rest.is_empty() {
        return Ok(value);
    }
    Err(left_over(rest.len()))
}

#[cold]
fn left_over(len: usize) -> Fault {
    Fault::mismatch(format!(
        "{len} bytes are left behind it: it does not read what was written"
    ))
}

/// Reads a value that [`encode`] has written; what it says of it is in `is_marked`.
#[inline(always)]
pub fn decode<T: DeserializeOwned>(bytes: &[u8], is_marked: bool) -> Result<T, Fault> {
    if is_marked {
        return decode_marked(bytes);
    }
    if let Some(value) = read_flat(bytes) {
        return Ok(value);
    }
    let mut reader = Reader::new(bytes, Names::Ignored);
    let value = T::deserialize(&mut reader)?;
    all_read(value, reader.rest)
}

/// The same of a value that may have some of these buffers in it; what it has not is dropped, now
/// or with the list.
#[inline(always)]
pub fn decode_with_buffers<T: DeserializeOwned>(
    bytes: &[u8],
    is_marked: bool,
    buffers: &mut Vec<Transfer>,
) -> Result<T, Fault> {
    if is_sure::<T>() {
        return decode(bytes, is_marked);
    }
    decoding(buffers, || decode(bytes, is_marked))
}

/// Bytes of a marked value, without what marks it.
enum Marked<'a> {
    Named(named::Reader<'a>),
    /// The number of the shape that it must have.
    Checked(Reader<'a, 'static>, u64),
}

#[cold]
#[inline(never)]
fn decode_marked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match marked(bytes)? {
        Marked::Named(mut reader) => {
            let value = T::deserialize(&mut reader)?;
            all_read(value, reader.rest)
        }
        Marked::Checked(mut reader, shape) => {
            let value = T::deserialize(&mut reader)?;
            check_shape(&reader, shape)?;
            all_read(value, reader.rest)
        }
    }
}

fn marked(bytes: &[u8]) -> Result<Marked<'_>, Fault> {
    match bytes.split_last() {
        Some((&NAMED, bytes)) => Ok(Marked::Named(named::Reader::new(bytes))),
        Some((&CHECKED, bytes)) => {
            let (bytes, shape) = bytes.split_last_chunk().ok_or_else(Fault::short)?;
            let reader = Reader::new(bytes, Names::Summed(0));
            Ok(Marked::Checked(reader, u64::from_le_bytes(*shape)))
        }
        _ => Err(Fault::mismatch("its bytes make no sense")),
    }
}

fn check_shape(reader: &Reader<'_, '_>, shape: u64) -> Result<(), Fault> {
    match reader.names {
        Names::Summed(sum) if shape::and(reader.shape, sum) == shape => Ok(()),
        _ => Err(Fault::mismatch("it does not read what was written")),
    }
}

/// Why a value of type `T` does not travel to or from a function, in words.
#[cold]
pub fn untold<T: ?Sized>(fault: &Fault) -> String {
    untold_of(std::any::type_name::<T>(), fault)
}

/// The same of a type that is called so.
#[cold]
pub fn untold_of(name: &str, fault: &Fault) -> String {
    format!("`{name}`: {fault}")
}

/// Drops a value that was refused with these words: if it is too deep to be sent it may be too
/// deep for this stack.
#[cold]
pub fn drop_refused<T>(value: T, words: &str) {
    let mut value = Some(value);
    let_go_of_refused(words, &mut || drop(value.take()));
}

/// The same for a value that `let_go` drops.
#[cold]
pub fn let_go_of_refused(words: &str, let_go: &mut dyn FnMut()) {
    if words.contains(depth::DEEP) {
        depth::on_much(let_go);
    } else {
        let_go();
    }
}
