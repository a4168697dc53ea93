//! A value that any number of tasks have in common.
//!
//! ```text
//!   host: the value ──encoded once──▶ a shared block ──▶ tasks' arguments name it
//!                                          │
//!   worker:            the value ◀─decoded once, when it is first used
//! ```
//!
//! In an argument or a result it travels as a [`Shared`] does, which it has inside: whoever
//! carries that (handles, tasks that wait or run, their retries, children, results) keeps the
//! block. What a worker has made of it is found by the block, and kept until that is gone
//! (`src/pool/known.rs`). A worker that dies leaves nothing that others see: its successor
//! makes its own.
//!
//! The host keeps the value that it has made a constant of. When the fold is built anew, which
//! gives new memory, it is encoded once more, when it is next passed.

use std::fmt::{Debug, Formatter};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pool::{AllocError, Loan, Shared, Transfer};

use super::{Payload, Room, decode_with_buffers, encode_with_buffers, untold};

/// Why there is no [`Constant`], or not its value.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).memory_cap(1 << 20).start()?;
/// let error = rt.constant(vec![0u8; 2 << 20]).unwrap_err();
/// assert!(matches!(error, pinfold::ConstantError::Alloc(_)), "{error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ConstantError {
    /// The value does not travel.
    #[error("it cannot be a constant: {message}")]
    Encode {
        /// What it is, and why.
        message: String,
    },
    /// There is no shared memory for it.
    #[error("there is no room for a constant: {0}")]
    Alloc(#[from] AllocError),
    /// Its type does not read what was written.
    #[error("a constant cannot be read: {message}")]
    Decode {
        /// What it is, and why.
        message: String,
    },
    /// It was not read yet, and this process was forked off the one to which it came.
    #[error("a constant was not read before this process was forked off")]
    Forked,
}

/// Where constants are: the memory of whatever fold there is.
pub trait Home: Send + Sync {
    /// Whether tasks can have the buffer now, or never will.
    fn has(&self, buffer: &Shared) -> bool;
    /// Memory that tasks can have.
    fn alloc(&self, len: usize) -> Result<Loan, AllocError>;
}

/// The encoded value, and the buffers in it. The last byte of the block says whether the
/// others are marked.
struct Parts {
    block: Shared,
    buffers: Vec<Shared>,
}

/// What one process has of it.
struct Made<T> {
    value: OnceLock<Result<T, ConstantError>>,
    /// In the process that made it a constant.
    origin: Option<Origin<T>>,
}

struct Origin<T> {
    home: Box<dyn Home>,
    write: fn(&T, &dyn Home) -> Result<Parts, ConstantError>,
    /// As it was last passed.
    parts: Mutex<Arc<Parts>>,
}

/// A value that any number of tasks have in common, and get for the price of a small argument:
/// made by [`Runtime::constant`](crate::Runtime::constant).
///
/// It is encoded once, and each worker decodes it once, when a task there first looks at it.
/// Cloning it costs next to nothing. Pass a clone as an argument, or as part of one; a task may
/// pass it on to its children, and return it. It derefs to the value.
///
/// | what is kept | until |
/// | --- | --- |
/// | in the host: the value | the last `Constant` of it there is dropped |
/// | in shared memory: the encoded value | no `Constant` is left in any process, and no task that waits or runs, or may be tried again, has it among its arguments |
/// | in each worker that has used it: the decoded value | the encoded one is gone; it is dropped when the worker next looks for work, and one that sleeps is woken for that |
///
/// So a worker has as many decoded values at most as there are constants that it has used; to
/// have less of them, drop constants that are no longer needed.
///
/// When a worker dies, its successor decodes anew. When the fold is built anew, because its
/// memory was damaged, the host encodes the value once more, the next time that it is passed.
/// (A constant that came back from a task after its maker was dropped cannot do so: to pass it
/// then is [`TaskError::Arguments`](crate::TaskError::Arguments).) It belongs to the runtime
/// that made it; to pass it to a task of another one is the same error.
///
/// ```
/// # pinfold::test_setup!();
/// use std::collections::HashMap;
///
/// fn price((prices, item): (pinfold::Constant<HashMap<String, u64>>, String)) -> u64 {
///     prices.get(&item).copied().unwrap_or(0)
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let prices = rt.constant(HashMap::from([("tea".to_owned(), 3), ("salt".to_owned(), 1)]))?;
/// let items = ["tea", "salt", "tea"].map(|item| (prices.clone(), item.to_owned()));
/// assert_eq!(rt.map(price, items).sum::<Result<u64, _>>()?, 7);
/// # Ok(())
/// # }
/// ```
pub struct Constant<T> {
    made: Arc<Made<T>>,
    /// As it came here; `None` in the process that made it a constant.
    parts: Option<Arc<Parts>>,
    read: fn(&Parts) -> Result<T, ConstantError>,
}

impl<T> Constant<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Makes one.
    pub(crate) fn new(value: T, home: Box<dyn Home>) -> Result<Self, ConstantError> {
        let parts = Arc::new(write(&value, &*home)?);
        let made = Arc::new(Made {
            value: OnceLock::from(Ok(value)),
            origin: Some(Origin {
                home,
                write,
                parts: Mutex::new(Arc::clone(&parts)),
            }),
        });
        // What comes back from a task is this very value.
        parts.block.known_as(|| Arc::clone(&made));
        Ok(Constant {
            made,
            parts: None,
            read,
        })
    }
}

impl<T> Constant<T> {
    /// The value; decodes it if this is the first time that this process asks for it. Others
    /// that ask meanwhile wait for that.
    ///
    /// Not a method, because the value may have one of that name.
    ///
    /// # Errors
    /// [`ConstantError::Decode`] if the type does not read what it has written, in each call.
    /// In a task `?` makes that its own error; never in the process that made it a constant.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let words = rt.constant(vec!["a".to_owned(), "b".to_owned()])?;
    /// let count = |words: pinfold::Constant<Vec<String>>| -> Result<usize, String> {
    ///     let words = pinfold::Constant::get(&words).map_err(|error| error.to_string())?;
    ///     Ok(words.len())
    /// };
    /// assert_eq!(rt.spawn(count, words.clone()).join_flat()?, 2);
    /// assert_eq!(words.len(), 2); // and in the host
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(this: &Self) -> Result<&T, ConstantError> {
        let value = match (this.made.value.get(), &this.parts) {
            (Some(value), _) => value,
            (None, Some(parts)) if parts.block.is_here() => {
                this.made.value.get_or_init(|| (this.read)(parts))
            }
            (None, _) => return Err(ConstantError::Forked),
        };
        value.as_ref().map_err(Clone::clone)
    }

    /// Where it is now, encoded.
    fn now(&self) -> Result<Arc<Parts>, ConstantError> {
        match (&self.made.origin, &self.parts, self.made.value.get()) {
            (Some(origin), _, Some(Ok(value))) => origin.parts_at_home(value),
            (_, Some(parts), _) => Ok(Arc::clone(parts)),
            _ => Err(ConstantError::Forked),
        }
    }
}

impl<T> Origin<T> {
    fn parts_at_home(&self, value: &T) -> Result<Arc<Parts>, ConstantError> {
        let parts = Arc::clone(&self.parts.lock().unwrap_or_else(PoisonError::into_inner));
        if self.home.has(&parts.block) {
            return Ok(parts);
        }
        // The value encodes itself: without the lock. If others do so too, one is the last.
        let anew = Arc::new((self.write)(value, &*self.home)?);
        let mut now = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *now, Arc::clone(&anew));
        drop(now);
        drop((former, parts));
        Ok(anew)
    }
}

impl<T> Clone for Constant<T> {
    fn clone(&self) -> Self {
        Constant {
            made: Arc::clone(&self.made),
            parts: self.parts.clone(),
            read: self.read,
        }
    }
}

/// # Panics
/// If the type does not read what it has written; [`Constant::get`] tells instead.
impl<T> Deref for Constant<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match Constant::get(self) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<T> Debug for Constant<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constant")
            .field("type", &std::any::type_name::<T>())
            .field("is_decoded", &self.made.value.get().is_some())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for Constant<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.now().map_err(serde::ser::Error::custom)?;
        (&parts.block, &parts.buffers).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Constant<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (block, buffers) = <(Shared, Vec<Shared>)>::deserialize(deserializer)?;
        let made = block.known_as(|| {
            Arc::new(Made::<T> {
                value: OnceLock::new(),
                origin: None,
            })
        });
        Ok(Constant {
            made,
            parts: Some(Arc::new(Parts { block, buffers })),
            read,
        })
    }
}

fn write<T>(value: &T, home: &dyn Home) -> Result<Parts, ConstantError>
where
    T: Serialize + DeserializeOwned,
{
    let refuse = |message: String| Err(ConstantError::Encode { message });
    let mut payload = Payload::new();
    let (encoded, buffers) = encode_with_buffers(value, &mut payload, Room::Heap);
    if let Err(fault) = encoded {
        return refuse(untold::<T>(&fault));
    }
    let shared: Option<Vec<Shared>> = buffers.iter().map(Transfer::to_shared).collect();
    let Some(buffers) = shared else {
        let name = std::any::type_name::<T>();
        return refuse(format!(
            "`{name}`: a `Loan` is in it, which has one owner: publish it, and have the `Shared` in it"
        ));
    };
    let bytes = payload.bytes();
    let mut loan = home.alloc(bytes.len() + 1)?;
    if let Some((last, all)) = loan.split_last_mut() {
        all.copy_from_slice(bytes);
        *last = u8::from(payload.is_marked());
    }
    Ok(Parts {
        block: loan.publish(),
        buffers,
    })
}

fn read<T: DeserializeOwned>(parts: &Parts) -> Result<T, ConstantError> {
    let (marked, bytes) = parts.block.split_last().unwrap_or((&0, &[]));
    let mut buffers = parts.buffers.iter().map(Transfer::of_shared).collect();
    let value = decode_with_buffers::<T>(bytes, *marked != 0, &mut buffers);
    value.map_err(|fault| ConstantError::Decode {
        message: untold::<T>(&fault),
    })
}
