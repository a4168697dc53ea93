//! The functions that the workers of a runtime have: those of this program, or of a plugin.

use std::borrow::Cow;
use std::ffi::c_char;
use std::sync::{Arc, OnceLock};

use pinfold::Runtime;

use crate::boundary::guard;
use crate::edge::write_text;
use crate::error::Failure;
use crate::runtime::{PinfoldRuntime, RuntimeObject, not_in_task};
use crate::{PinfoldStatus, registry, table};

/// Where a runtime's functions are known from.
#[derive(Debug)]
pub(crate) enum Names {
    /// This program has registered them itself.
    Own,
    /// The plugin of that file has, in the workers: one of them is asked.
    Plugin {
        file: String,
        known: OnceLock<Vec<&'static str>>,
    },
}

/// A task: the names of the functions that its worker has.
fn names_here(_: ()) -> Vec<String> {
    registry::names().into_iter().map(str::to_owned).collect()
}

impl Names {
    /// `pinfold_init`, without which no runtime starts, has closed the table of them.
    pub(crate) fn own() -> Self {
        Names::Own
    }

    pub(crate) fn of_plugin(file: String) -> Self {
        let known = OnceLock::new();
        Names::Plugin { file, known }
    }

    /// Why no runtime was started, and with which plugin.
    pub(crate) fn told(&self, mut failure: Failure) -> Failure {
        if let Names::Plugin { file, .. } = self
            && !failure.message.contains(file)
        {
            failure.message = format!("{} (the plugin is `{file}`)", failure.message);
        }
        failure
    }

    /// All of them, sorted.
    fn all(&self, runtime: &Runtime) -> Result<Cow<'_, [&'static str]>, Failure> {
        let known = match self {
            Names::Own => return Ok(registry::names().into()),
            Names::Plugin { known, .. } => known,
        };
        if let Some(known) = known.get() {
            return Ok(known.into());
        }
        let names = runtime.spawn(names_here, ()).join().map_err(|error| {
            let failure = Failure::from(error);
            let message = format!(
                "no worker tells which functions it has: {}",
                failure.message
            );
            Failure::new(failure.status, message)
        })?;
        let names = names.iter().map(|name| registry::kept(name)).collect();
        Ok(known.get_or_init(|| names).into())
    }

    /// That name, if the workers know it.
    pub(crate) fn find(&self, runtime: &Runtime, name: &str) -> Result<&'static str, Failure> {
        let names = self.all(runtime)?;
        if let Some(known) = names.iter().find(|known| **known == name) {
            return Ok(known);
        }
        let message = format!(
            "no function is registered by the name `{name}`; there are: {}",
            names.join(", ")
        );
        Err(Failure::new(PinfoldStatus::UnknownFunction, message))
    }
}

/// The names of the functions that the workers of `runtime` have, sorted, each with a line feed after it.
///
/// Writes the text and a NUL to `buffer`, and the text's length in bytes, without the NUL, to
/// `out_len`. If they are more than `capacity` bytes, the status is `PINFOLD_STATUS_BUFFER_TOO_SMALL`, and
/// only the length is written.
///
/// Those of a plugin are asked of a worker, once; that fails as a task does.
///
/// Any thread; not in a task.
///
/// # Safety
///
/// `capacity` bytes can be written at `buffer` (null if there are none); `out_len` is null (it is
/// not asked for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_runtime_functions(
    runtime: *mut PinfoldRuntime,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        not_in_task()?;
        let runtime = table::enter::<Arc<RuntimeObject>>(runtime.addr())?;
        let names = runtime.names.all(&runtime.runtime)?;
        let text: String = names.iter().flat_map(|name| [name, "\n"]).collect();
        // SAFETY: the caller's promise.
        unsafe { write_text(&text, buffer, capacity, out_len) }
    })
}
