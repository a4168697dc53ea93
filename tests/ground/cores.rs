//! Core dumps of workers, and what is left in memory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use libtest_mimic::Trial;
use pinfold::{Runtime, Shared, Shutdown, TaskError};

use crate::host::Host;
use crate::refuse::{Filter, Refusal, refusal};
use crate::{Program, test};

const MIB: u64 = 1 << 20;

pub fn tests() -> Vec<Trial> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let pattern = pattern.trim();
    // Cores go to a file of that name in the directory of who has crashed. What else they may
    // go to is the machine's own; it is not changed for a test.
    let is_file = !pattern.is_empty() && !pattern.starts_with(['|', '/', '@']);
    let mut all = vec![
        test("cores/a_crash_without_cores", || {
            assert_eq!(crash(false, false).0, 0, "nothing is written");
        }),
        test("cores/zeroed_memory_shows_nothing_of_others", || {
            Host::new("leaves_secrets").run().well();
        }),
    ];
    let cores: [(&str, fn()); 3] = [
        ("cores/a_crash_writes_no_shared_memory", || {
            let (on_disk, has_mark) = crash(true, false);
            // A worker's own memory, and the thread's stacks.
            assert!((1..64 * MIB).contains(&on_disk), "{on_disk} bytes");
            assert!(!has_mark, "the core has what is in a buffer");
        }),
        ("cores/a_crash_writes_none_if_the_advice_is_refused", || {
            let refused = Filter::new(&[Refusal {
                only: Some((2, libc::MADV_DONTDUMP as u32)),
                ..refusal(libc::SYS_madvise, libc::EINVAL)
            }]);
            let host = crashes_in_cores(true, false).prepared(move || refused.put_on(false));
            assert!(!crash_of(host).1, "the core has what is in a buffer");
        }),
        ("cores/shared_memory_is_written_if_asked_for", || {
            assert!(crash(true, true).1, "the core has what is in a buffer");
        }),
    ];
    for (name, run) in cores {
        let name = match is_file {
            true => name.to_owned(),
            false => format!("{name} (skipped: core_pattern is {pattern:?}, not a file's name)"),
        };
        all.push(test(&name, run).with_ignored_flag(!is_file));
    }
    all
}

pub fn programs() -> Vec<Program> {
    vec![("crashes", crashes), ("leaves_secrets", leaves_secrets)]
}

/// Lets a worker of a fold crash; what that has written on the disk, and whether what was in a
/// buffer is in it.
fn crash(with_cores: bool, is_dumped: bool) -> (u64, bool) {
    crash_of(crashes_in_cores(with_cores, is_dumped))
}

fn crashes_in_cores(with_cores: bool, is_dumped: bool) -> Host {
    Host::new("crashes").arg(with_cores).arg(is_dumped)
}

fn crash_of(mut host: Host) -> (u64, bool) {
    let scratch = tempfile::tempdir().expect("a directory");
    host.command.current_dir(scratch.path());
    host.run().well();
    let files = std::fs::read_dir(scratch.path())
        .expect("is read")
        .flatten();
    let cores: Vec<_> = files.map(|file| file.path()).collect();
    let on_disk = |path: &Path| path.metadata().map_or(0, |it| it.blocks() * 512);
    let size = cores.iter().map(|path| on_disk(path)).sum();
    let has_mark = |path: &Path| {
        // Not in one piece in this program, nor in that one's own memory.
        let mark = mark();
        let core = std::fs::read(path).expect("is read");
        core.windows(mark.len()).any(|window| window == mark)
    };
    (size, cores.iter().any(|path| has_mark(path)))
}

/// Some bytes that are nowhere else.
fn mark() -> Vec<u8> {
    (0..48u8).map(|n| n.wrapping_mul(167) ^ 0x5a).collect()
}

fn crashes(arguments: &[String]) {
    let with_cores = arguments[0] == "true";
    let is_dumped = arguments[1] == "true";
    let limit = if with_cores { libc::RLIM_INFINITY } else { 0 };
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) }, 0);
    let cap = if is_dumped { 16 * MIB } else { 1024 * MIB };
    let builder = Runtime::builder().workers(2).memory_cap(cap);
    let builder = builder.dump_memory(is_dumped).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    let mut buffer = rt.alloc(4 << 20).expect("room");
    for page in buffer.chunks_mut(4096) {
        page[..mark().len()].copy_from_slice(&mark());
    }
    let buffer = buffer.publish();
    let first = |buffer: Shared| buffer[0];
    assert_eq!(rt.spawn(first, buffer.clone()).join(), Ok(mark()[0]));
    let before = rt.stats().memory_resident;
    let crash = |buffer: Shared| {
        // SAFETY: none; it is there to crash.
        unsafe { std::ptr::null_mut::<u8>().write_volatile(buffer[0]) };
    };
    let death = match rt.spawn(crash, buffer.clone()).join() {
        Err(TaskError::WorkerDied { death, .. }) => death,
        other => panic!("{other:?}"),
    };
    let wanted = pinfold::Death::Signaled {
        signal: libc::SIGSEGV,
        core_dumped: with_cores,
    };
    assert_eq!(death, wanted);
    // The next one has begun, so all that the kernel does for the dead one has been done.
    assert_eq!(rt.spawn(first, buffer).join(), Ok(mark()[0]));
    let after = rt.stats().memory_resident;
    if !is_dumped {
        assert!(after <= before + MIB, "{before} bytes, then {after}");
    }
}

/// Blocks of each kind, and extents of some spans.
const SIZES: [usize; 6] = [1, 64, 1000, 30_000, 200_000, 3_000_000];

/// Leaves its mark in memory, and ends in some way.
fn leaves(how: u32) -> Vec<pinfold::Loan> {
    let loan = |size| {
        let mut loan = pinfold::alloc(size).expect("room");
        loan.fill(0xa5);
        loan
    };
    let loans: Vec<_> = SIZES.into_iter().map(loan).collect();
    match how {
        0 => Vec::new(),
        1 => loans,
        2 => panic!("{} loans", loans.len()),
        _ => std::process::abort(),
    }
}

fn finds(_: u32) -> bool {
    SIZES.into_iter().all(|size| {
        let some: Vec<_> = (0..3).map_while(|_| pinfold::alloc(size).ok()).collect();
        !some.is_empty() && some.iter().all(|loan| loan.iter().all(|byte| *byte == 0))
    })
}

fn leaves_secrets(_: &[String]) {
    let builder = Runtime::builder().workers(2).memory_cap(64 << 20);
    let builder = builder.on_drop(Shutdown::Abort);
    let rt = builder.zero_memory(true).start().expect("starts");
    for round in 0..8 {
        drop(rt.spawn(leaves, round % 4).join());
        for outcome in rt.map(finds, 0..4) {
            assert_eq!(outcome, Ok(true), "round {round}");
        }
        for size in SIZES {
            let loan = rt.alloc(size).expect("room");
            assert!(loan.iter().all(|byte| *byte == 0), "round {round}: {size}");
        }
    }
}
