//! `pinfold doctor`: what this machine, container or sandbox offers, what is missing, and what
//! follows.

use std::fmt::Write as _;
use std::fs::read_to_string;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use pinfold::doctor::{SystemCall, system_calls};
use pinfold::topology;
use serde::Serialize;

/// Show what this machine and its limits let a runtime do, what is missing, and what follows
///
/// Exit status: 0 all is there, 1 it works but something is lost, 2 no runtime can start.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Prints what was found.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let report = Report::of_this_machine();
    let text = if args.json {
        let json = serde_json::to_string_pretty(&report).unwrap_or_default();
        json + "\n"
    } else {
        report.text()
    };
    let printed = crate::print::print(text.as_bytes());
    if printed == ExitCode::SUCCESS {
        ExitCode::from(report.status)
    } else {
        printed
    }
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// The exit status.
    status: u8,
    facts: Vec<Fact>,
    system_calls: Vec<SystemCall>,
    /// A runtime with one worker and a task: how long it took, in ms.
    start_ms: Option<f64>,
    start_error: Option<String>,
}

/// Something that is as it is, and what follows from it, if anything does.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    /// What is lost.
    loss: Option<String>,
}

impl Report {
    fn of_this_machine() -> Self {
        // While there is one thread.
        let system_calls = system_calls();
        let facts = facts();
        let begin = Instant::now();
        let started = start();
        let start_ms = begin.elapsed().as_secs_f64() * 1000.0;
        let is_lost = facts.iter().any(|fact| fact.loss.is_some())
            || system_calls.iter().any(|call| call.error.is_some());
        Report {
            version: env!("CARGO_PKG_VERSION"),
            status: match (&started, is_lost) {
                (Err(_), _) => 2,
                (Ok(()), true) => 1,
                (Ok(()), false) => 0,
            },
            facts,
            system_calls,
            start_ms: started.is_ok().then_some(start_ms),
            start_error: started.err(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("pinfold {}\n\n", self.version);
        for Fact { name, value, loss } in &self.facts {
            let mark = if loss.is_some() { "!" } else { " " };
            let _ = writeln!(text, "{mark} {name:22} {value}");
            if let Some(loss) = loss {
                let _ = writeln!(text, "{:25}{loss}", "");
            }
        }
        text.push('\n');
        for call in &self.system_calls {
            let Some(error) = &call.error else {
                let _ = writeln!(text, "  {}", call.name);
                continue;
            };
            let mark = if call.is_needed { "X" } else { "!" };
            let _ = writeln!(text, "{mark} {}, {}: {error}", call.name, call.purpose);
            let _ = writeln!(text, "    so {}", call.without);
        }
        text.push('\n');
        let _ = match (&self.start_error, self.start_ms) {
            (Some(error), _) => writeln!(text, "X no runtime can start: {error}"),
            (None, took) => writeln!(
                text,
                "  a runtime starts, and has run a task ({:.1} ms)",
                took.unwrap_or_default()
            ),
        };
        text
    }
}

/// A runtime with one worker, and one task.
fn start() -> Result<(), String> {
    let builder = pinfold::Runtime::builder().workers(1);
    let rt = builder.start().map_err(|error| error.to_string())?;
    match rt.spawn(|n: u64| n + 1, 1).join() {
        Ok(2) => Ok(()),
        Ok(other) => Err(format!("1 and 1 are {other} in a task")),
        Err(error) => Err(error.to_string()),
    }
}

fn facts() -> Vec<Fact> {
    let mut facts = vec![
        fact("kernel", kernel(), None),
        fact("system", std::env::consts::ARCH, None),
    ];
    facts.extend([processors(), memory(), shared_memory()]);
    facts.extend(limits());
    facts.extend([overcommit(), huge_pages(), cores(), sandbox()]);
    facts.extend(files());
    facts
}

fn fact(name: &'static str, value: impl Into<String>, loss: Option<&str>) -> Fact {
    Fact {
        name,
        value: value.into(),
        loss: loss.map(str::to_owned),
    }
}

/// The first line of a file, if it can be read.
fn line(path: &str) -> Option<String> {
    let text = read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |error| error.to_string(),
        |name| name.release().to_string_lossy().into_owned(),
    )
}

fn processors() -> Fact {
    let machine = topology::Topology::read();
    let allowed = topology::allowed_cpus().len();
    let quota = topology::cpu_quota();
    let mut value = format!(
        "{allowed} CPUs allowed, {} NUMA nodes, {} workers by default",
        machine.nodes.len(),
        topology::default_workers(),
    );
    if let Some(quota) = quota {
        let _ = write!(value, "; the control group gives the time of {quota:.1}");
    }
    let is_short = quota.is_some_and(|quota| quota < 1.0);
    let loss = "less than one CPU: tasks stand still for part of the time";
    fact("processors", value, is_short.then_some(loss))
}

fn memory() -> Fact {
    match topology::memory_limit_bytes() {
        Some(bytes) => fact(
            "memory",
            format!("{} may be used (machine and control group)", size(bytes)),
            (bytes < 64 << 20).then_some("little: set a small memory cap"),
        ),
        None => fact("memory", "not known (no /proc/meminfo?)", None),
    }
}

fn shared_memory() -> Fact {
    let value = match nix::sys::statvfs::statvfs("/dev/shm") {
        Ok(stat) => {
            let bytes = stat.blocks() * stat.fragment_size();
            format!("{}; not used: the memory has no name", size(bytes))
        }
        Err(error) => format!("{error}; not needed: the memory has no name"),
    };
    fact("/dev/shm", value, None)
}

fn limits() -> Vec<Fact> {
    let all: [(&str, Resource, u64, &str); 8] = [
        (
            "ulimit -n (files)",
            Resource::RLIMIT_NOFILE,
            64,
            "few workers fit",
        ),
        (
            "ulimit -u (processes)",
            Resource::RLIMIT_NPROC,
            64,
            "few workers and threads fit",
        ),
        (
            "ulimit -v (addresses)",
            Resource::RLIMIT_AS,
            64 << 30,
            "the default memory cap is smaller",
        ),
        (
            "ulimit -f (file size)",
            Resource::RLIMIT_FSIZE,
            64 << 30,
            "the default memory cap is smaller",
        ),
        (
            "ulimit -d (data)",
            Resource::RLIMIT_DATA,
            256 << 20,
            "tasks may get no memory, and end",
        ),
        (
            "ulimit -s (stack)",
            Resource::RLIMIT_STACK,
            1 << 20,
            "tasks have little stack",
        ),
        ("ulimit -l (locked)", Resource::RLIMIT_MEMLOCK, 0, ""),
        (
            "ulimit -t (CPU time)",
            Resource::RLIMIT_CPU,
            u64::MAX,
            "host and workers are ended then",
        ),
    ];
    let limits = all
        .into_iter()
        .map(|(name, resource, least, loss)| match getrlimit(resource) {
            Ok((RLIM_INFINITY, _)) => fact(name, "no limit", None),
            Ok((soft, _)) => {
                let is_count = matches!(
                    resource,
                    Resource::RLIMIT_NOFILE | Resource::RLIMIT_NPROC | Resource::RLIMIT_CPU
                );
                let value = if is_count {
                    soft.to_string()
                } else {
                    size(soft)
                };
                fact(name, value, (soft < least).then_some(loss))
            }
            Err(error) => fact(name, error.to_string(), None),
        });
    limits.collect()
}

fn overcommit() -> Fact {
    let value = line("/proc/sys/vm/overcommit_memory").unwrap_or_else(|| "not known".into());
    // The segment is mapped without reserve; with 2 that counts all the same.
    let loss = "strict: the whole memory cap counts as used; set a small one";
    let is_strict = value == "2";
    fact("vm.overcommit_memory", value, is_strict.then_some(loss))
}

fn huge_pages() -> Fact {
    let value = line("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    fact(
        "huge pages (shmem)",
        value.unwrap_or_else(|| "not known".into()),
        None,
    )
}

fn cores() -> Fact {
    let pattern = line("/proc/sys/kernel/core_pattern").unwrap_or_else(|| "not known".into());
    let limit = getrlimit(Resource::RLIMIT_CORE).map_or(0, |(soft, _)| soft);
    let is_piped = pattern.starts_with('|');
    let what = match (limit, is_piped) {
        (0, false) => "none are written",
        (_, true) => "a program gets them",
        (_, false) => "they are written to files",
    };
    fact(
        "core dumps",
        format!("{what} (core_pattern {pattern:?}); the shared memory is left out"),
        None,
    )
}

fn sandbox() -> Fact {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", |line| line.trim_start_matches(':').trim())
    };
    let seccomp = match field("Seccomp") {
        "0" => "no seccomp filter",
        "1" => "seccomp, strict",
        "2" => "a seccomp filter",
        _ => "seccomp not known",
    };
    let privileges = match field("NoNewPrivs") {
        "1" => ", no new privileges",
        _ => "",
    };
    fact("sandbox", format!("{seccomp}{privileges}"), None)
}

fn files() -> [Fact; 2] {
    let is_there = |path: &str| std::path::Path::new(path).exists();
    let has_proc = is_there("/proc/self/exe");
    let has_null = is_there("/dev/null");
    let word = |is| if is { "there" } else { "missing" };
    [
        fact(
            "/proc",
            word(has_proc),
            (!has_proc).then_some("no runtime can start: mount it"),
        ),
        fact(
            "/dev/null",
            word(has_null),
            (!has_null).then_some("workers have a closed pipe instead"),
        ),
    ]
}

/// Bytes, in a unit that fits.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >= 1 << shift) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}
