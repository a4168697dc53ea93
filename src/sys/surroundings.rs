//! What a process inherits besides its memory, as it was when a runtime was started.
//!
//! The host may change its own later; a zygote that takes another's place gets what the first one
//! had, so that a task sees the same before and after.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fds::above_standard;
use super::held::Held;
use super::text::read_text;
use nix::fcntl::{OFlag, open};
use nix::libc::rlim_t;
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

/// Of the process that is to be started again.
#[derive(Debug)]
pub struct Surroundings {
    environment: Vec<(OsString, OsString)>,
    directory: Option<Held>,
    told: Told,
    program: Program,
}

/// The program whose processes are the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// The one that runs.
    #[default]
    Own,
    /// Another one, and its arguments.
    Other(PathBuf, Vec<OsString>),
}

/// What of it is sent, and set by the new process itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    umask: Option<u32>,
    /// The soft limits, by the number of each resource.
    limits: Vec<rlim_t>,
    /// Whether a descriptor of the working directory is sent with it.
    pub has_directory: bool,
}

/// How many resources there are.
const RESOURCES: u32 = 16;

impl Surroundings {
    /// Those of this process now. What cannot be known is left as it will be.
    pub fn now(program: Program) -> Self {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(".", flags, Mode::empty()).and_then(above_standard);
        let directory = directory.ok().map(Held::new);
        let told = Told {
            umask: umask(),
            limits: (0..RESOURCES).map_while(soft_limit).collect(),
            has_directory: directory.is_some(),
        };
        Surroundings {
            environment: std::env::vars_os().collect(),
            directory,
            told,
            program,
        }
    }

    /// What starts the program, with that environment.
    pub fn command(&self) -> Command {
        let mut command = match &self.program {
            Program::Own => Command::new(own()),
            Program::Other(path, arguments) => {
                let mut command = Command::new(path);
                command.args(arguments);
                command
            }
        };
        command.env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Which program is started.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What is to be sent.
    pub fn told(&self) -> Told {
        Told {
            has_directory: self.directory().is_some(),
            ..self.told.clone()
        }
    }

    /// The working directory, to be sent with it; unless the program has closed it.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.directory.as_ref()?.get().ok()
    }
}

/// What starts the program that runs: the kernel's link, which holds though the file was removed or replaced.
/// But in a process that a tool runs in its own (valgrind), that leads to the tool; it is the program's only for who
/// opens it or reads it.
fn own() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    let same = |file: File| {
        let (opened, linked) = (file.metadata().ok()?, std::fs::metadata(link).ok()?);
        Some((opened.dev(), opened.ino()) == (linked.dev(), linked.ino()))
    };
    let is_a_tools = File::open(link).ok().and_then(same) == Some(false);
    let named = is_a_tools.then(|| std::fs::read_link(link).ok());
    named.flatten().unwrap_or_else(|| link.to_owned())
}

impl Told {
    /// Makes them those of this process, which has one thread. What is not allowed (any more)
    /// stays as it was inherited.
    pub fn apply(&self, directory: Option<&OwnedFd>) {
        if let Some(directory) = directory {
            let _ = nix::unistd::fchdir(directory);
        }
        if let Some(umask) = self.umask {
            nix::sys::stat::umask(Mode::from_bits_truncate(umask));
        }
        for (resource, soft) in self.limits.iter().enumerate() {
            set_soft_limit(resource as u32, *soft);
        }
    }
}

/// Without changing it, which other threads would see.
fn umask() -> Option<u32> {
    let status = read_text("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

fn limit(resource: u32) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to `limit`, and refuses a resource that there is not.
    let got = unsafe { libc::getrlimit(resource as _, &raw mut limit) };
    (got == 0).then_some(limit)
}

/// How large the stack of a process's first thread may become, in bytes.
pub fn stack_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_STACK as _)
}

fn soft_limit(resource: u32) -> Option<rlim_t> {
    limit(resource).map(|limit| limit.rlim_cur)
}

fn set_soft_limit(resource: u32, soft: rlim_t) {
    let Some(mut limit) = limit(resource) else {
        return;
    };
    let soft = soft.min(limit.rlim_max);
    if limit.rlim_cur != soft {
        limit.rlim_cur = soft;
        // SAFETY: a limit of this process alone.
        let _ = unsafe { libc::setrlimit(resource as _, &raw const limit) };
    }
}
