//! Plugins: shared libraries whose functions are tasks, for hosts that are no programs of their own
//! (an interpreter, an application server).
//!
//! ```text
//!   host                                    pinfold-worker LIBRARY PLUGIN CONTENT
//!   pinfold_runtime_new(plugin) ──exec──▶   dlopen LIBRARY: the file that the host runs
//!                                           pinfold_worker_main
//!                                             Begun ─▶ PLUGIN is as it was? dlopen, versions, entry
//!   registry::names, asked of a worker ◀──    serves; workers are forked, with the plugin loaded
//! ```
//!
//! Host and workers run the same file, which the handshake proves by its build. The plugin is the
//! same for each zygote of a runtime, or that one is refused.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::boundary::guard_or;
use crate::error::{Failure, remember};
use crate::{PINFOLD_ABI_VERSION, PinfoldStatus, registry};

/// What a plugin exports, by the macro `PINFOLD_PLUGIN` of the header.
const ENTRY: &CStr = c"pinfold_plugin_register";
const VERSION: &CStr = c"pinfold_plugin_abi_version";

/// The worker program's file, and the variable that names another.
const WORKER: &str = "pinfold-worker";
const WORKER_VARIABLE: &str = "PINFOLD_WORKER";
/// Where it is looked for, from the directory of the library.
const PLACES: [&str; 5] = [".", "../bin", "../libexec", "..", "../../bin"];

/// How the workers of a runtime with a plugin are started.
#[derive(Debug)]
pub(crate) struct Start {
    /// The plugin, as it is told.
    pub(crate) file: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: [OsString; 3],
}

/// How `plugin` is served, by the worker program `worker` or the one that is found.
pub(crate) fn start(plugin: &str, worker: Option<&str>) -> Result<Start, Failure> {
    let plugin = std::path::absolute(plugin)
        .map_err(|error| Failure::argument(format!("the plugin `{plugin}`: {error}")))?;
    let content = content(&plugin).map_err(|error| {
        let message = format!("the plugin `{}` cannot be read: {error}", plugin.display());
        Failure::new(PinfoldStatus::StartFailed, message)
    })?;
    let library = own_file()?;
    let program = match worker {
        Some(worker) => worker.into(),
        None => worker_beside(&library)?,
    };
    let file = plugin.display().to_string();
    let arguments = [library.into(), plugin.into(), content.into()];
    Ok(Start {
        file,
        program,
        arguments,
    })
}

/// The file that this library was loaded from, as an absolute path.
fn own_file() -> Result<PathBuf, Failure> {
    let here = own_file as fn() -> _ as usize;
    let maps = std::fs::read("/proc/self/maps").map_err(|error| {
        Failure::new(PinfoldStatus::System, format!("/proc/self/maps: {error}"))
    })?;
    let file = maps.split(|byte| *byte == b'\n').find_map(|line| {
        let range = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
        let (from, to) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let path = line.iter().position(|byte| *byte == b'/')?;
        (number(from)?..number(to)?)
            .contains(&here)
            .then_some(&line[path..])
    });
    let file = file.ok_or_else(|| {
        Failure::new(PinfoldStatus::System, "the library's own file is not found")
    })?;
    // One that was replaced since has another build, which the handshake tells.
    let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
    let file = PathBuf::from(OsString::from_vec(file.to_vec()));
    if std::fs::read_link("/proc/self/exe").is_ok_and(|program| program == file) {
        let message = format!(
            "`{}` has pinfold linked into it (libpinfold.a), and workers with a plugin would run another copy: link it with libpinfold.so",
            file.display()
        );
        return Err(Failure::new(PinfoldStatus::StartFailed, message));
    }
    Ok(file)
}

fn worker_beside(library: &Path) -> Result<PathBuf, Failure> {
    // SAFETY: asks for a number.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if let Some(named) = std::env::var_os(WORKER_VARIABLE).filter(|named| !named.is_empty())
        && !is_privileged
    {
        return Ok(named.into());
    }
    let directory = library.parent().unwrap_or(Path::new("/"));
    let places = PLACES.map(|place| directory.join(place).join(WORKER));
    if let Some(there) = places.iter().find(|place| place.is_file()) {
        return Ok(there.clone());
    }
    let places = places.map(|place| place.display().to_string());
    let message = format!(
        "the program {WORKER} is not found ({}): install it, or name it by `worker_program` or {WORKER_VARIABLE}",
        places.join(", ")
    );
    Err(Failure::new(PinfoldStatus::StartFailed, message))
}

/// What is in a file, in short.
fn content(file: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    let mut hasher = DefaultHasher::new();
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(format!("{:016x}", hasher.finish())),
            read => hasher.write(&part[..read]),
        }
    }
}

/// The `main` of the program `pinfold-worker`, which has loaded this library. Returns only if it was not
/// started by a runtime, or not with its arguments (`LIBRARY PLUGIN CONTENT`).
///
/// # Safety
///
/// `argc` and `argv` are those of `main`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_worker_main(argc: c_int, argv: *const *const c_char) -> c_int {
    guard_or(1, || {
        if let (4, false) = (argc, argv.is_null()) {
            // SAFETY: `main` has so many, and each ends in NUL.
            let [plugin, started_with] = [2, 3].map(|at| unsafe { CStr::from_ptr(*argv.add(at)) });
            pinfold::init_with(|| load(plugin, &started_with.to_string_lossy()));
        }
        let message = "a runtime starts this program for its workers: by hand it does nothing";
        remember(message.into());
        2
    })
}

/// Loads the plugin into this process, which the workers are forked from.
fn load(path: &CStr, started_with: &str) -> Result<(), String> {
    let file = Path::new(OsStr::from_bytes(path.to_bytes()));
    let name = format!("the plugin `{}`", file.display());
    let now = content(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    if now != started_with {
        return Err(format!(
            "{name} was changed: the runtime was started with content {started_with}, and now it has {now}: start a new runtime"
        ));
    }
    // SAFETY: the path ends in NUL; what the plugin does when it is loaded is the user's affair.
    let plugin = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if plugin.is_null() {
        return Err(format!("{name} cannot be loaded: {}", dlerror()));
    }
    let (Some(version), Some(entry)) = (symbol(plugin, VERSION), symbol(plugin, ENTRY)) else {
        return Err(format!(
            "{name} has no entry: it must export `pinfold_plugin_register`, which begins with PINFOLD_PLUGIN"
        ));
    };
    // SAFETY: by its name it is what the header's macro has made: a number.
    let version = unsafe { version.cast::<u32>().read_unaligned() };
    if version != PINFOLD_ABI_VERSION {
        return Err(format!(
            "{name} was compiled for version {version} of the interface, and libpinfold {} has version {PINFOLD_ABI_VERSION}: compile it with that library's pinfold.h",
            env!("CARGO_PKG_VERSION")
        ));
    }
    type Entry = unsafe extern "C-unwind" fn() -> i32;
    // SAFETY: as above: a function of this type; null was ruled out.
    let entry = unsafe { std::mem::transmute::<*mut c_void, Entry>(entry) };
    // SAFETY: the user's function, which is to be called so, once.
    let status = unsafe { entry() };
    if let Some(refused) = registry::refused() {
        return Err(format!("{name}: {refused}"));
    }
    if status != PinfoldStatus::Ok as i32 {
        return Err(format!("{name}: its entry returned {status}"));
    }
    if registry::names().is_empty() {
        return Err(format!("{name} registers no function"));
    }
    Ok(())
}

fn symbol(library: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the library is loaded, and the name ends in NUL.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

fn dlerror() -> String {
    // SAFETY: a text of this thread's, or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason is told".into();
    }
    // SAFETY: it ends in NUL, and stays until the next call of the loader.
    let text: CString = unsafe { CStr::from_ptr(text) }.into();
    text.to_string_lossy().into_owned()
}
