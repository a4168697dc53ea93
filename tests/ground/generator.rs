//! Random ground: each seed is one set of surroundings and one life in it.
//!
//! Allowed is that all goes well, or that an error says what does not, within the time. Not
//! allowed is a hang, a signal, a wrong value, or a process that is left. `scripts/ground` runs
//! as many seeds as one likes; a seed makes the same surroundings and the same life every time.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::host::{Ended, Host};
use crate::kernels::CALLS;
use crate::life::{TOLD, WELL};
use crate::limits::limited;
use crate::privilege::as_nobody;
use crate::refuse::{Filter, Refusal, refusal};
use crate::rng::Rng;
use crate::test;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How many seeds the tests try, in how many parts.
const SEEDS: u64 = 100;
const PARTS: u64 = 4;

pub fn tests() -> Vec<Trial> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number("PINFOLD_GROUND_FIRST").unwrap_or(1);
    let seeds = number("PINFOLD_GROUND_SEEDS").unwrap_or(SEEDS);
    let part = seeds.div_ceil(PARTS);
    let parts = (0..PARTS).map(|n| (first + n * part)..(first + seeds.min((n + 1) * part)));
    parts
        .filter(|seeds| !seeds.is_empty())
        .map(|seeds| {
            let name = format!("seeds_from_{}_before_{}", seeds.start, seeds.end);
            test(&name, move || try_all(seeds))
        })
        .collect()
}

fn try_all(seeds: std::ops::Range<u64>) {
    let shows = std::env::var_os("PINFOLD_GROUND_SHOW").is_some();
    let (mut well, mut told) = (0, 0);
    let is_failed = |seed: &u64| {
        let ground = Ground::new(*seed);
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let ended = ground.run();
            judge(&ended);
            ended
        }));
        match &lived {
            Ok(ended) if ended.status == WELL => well += 1,
            Ok(ended) => {
                told += 1;
                if shows {
                    eprintln!("seed {seed}: {:?}: {}", ended.took, ended.stdout);
                }
            }
            Err(_) => eprintln!("seed {seed} has failed: {ground:?}"),
        }
        lived.is_err()
    };
    let failed: Vec<u64> = seeds.clone().filter(is_failed).collect();
    eprintln!("seeds {seeds:?}: {well} were well, {told} have told why not");
    assert!(
        failed.is_empty(),
        "scripts/ground --first SEED --seeds 1, for each of these seeds: {failed:?}"
    );
}

fn judge(ended: &Ended) {
    let is_well = matches!(ended.status, WELL | TOLD);
    assert!(is_well, "{ended:#?}");
    let asks = ended.stdout.contains("is `pinfold::init()` the first");
    assert!(!asks, "`init` is the first: {ended:#?}");
}

/// Surroundings, and what is done in them.
#[derive(Debug)]
struct Ground {
    limit: Option<(&'static str, libc::__rlimit_resource_t, u64)>,
    closed: Vec<i32>,
    occupied: u64,
    blocked: Vec<i32>,
    ignored: Vec<i32>,
    timer_us: Option<u64>,
    refused: Vec<(&'static str, Refusal)>,
    is_nobody: bool,
    is_without_directory: bool,
    /// Hidden below an empty directory.
    hidden: Option<&'static str>,
    is_busy: bool,
    workers: u64,
    steps: String,
}

impl Ground {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 23);
        let rng = &mut rng;
        let is_root = nix::unistd::geteuid().is_root();
        let few = |rng: &mut Rng, most: u64, from: &[i32]| -> Vec<i32> {
            (0..rng.below(most + 1))
                .map(|_| *rng.choose(from))
                .collect()
        };
        let any_signals: Vec<i32> = (1..=31).filter(|s| ![9, 19].contains(s)).collect();
        let mut ground = Ground {
            limit: rng.once_in(3).then(|| a_limit(rng, is_root)),
            closed: Vec::new(),
            occupied: if rng.once_in(4) { rng.below(200) } else { 0 },
            blocked: Vec::new(),
            ignored: Vec::new(),
            timer_us: rng.once_in(4).then(|| rng.between(500, 20_000)),
            refused: Vec::new(),
            is_nobody: is_root && rng.once_in(5),
            is_without_directory: rng.once_in(6),
            hidden: (is_root && rng.once_in(8)).then(|| *rng.choose(&["/proc", "/dev"])),
            is_busy: rng.once_in(8),
            workers: rng.between(1, 4),
            steps: String::new(),
        };
        if rng.once_in(4) {
            ground.closed = few(rng, 3, &[0, 1, 2]);
        }
        if rng.once_in(3) {
            ground.blocked = few(rng, 10, &any_signals);
            ground.ignored = few(rng, 10, &any_signals);
        }
        for _ in 0..(if rng.once_in(2) { 1 + rng.below(2) } else { 0 }) {
            let (name, number, _) = rng.choose(CALLS);
            let errno = *rng.choose(&[libc::EPERM, libc::ENOSYS]);
            ground.refused.push((name, refusal(*number, errno)));
        }
        // The program's own beginning cannot do without them.
        if ground.hidden == Some("/dev") {
            ground.closed.clear();
            ground.refused.retain(|(name, _)| *name != "getrandom");
        }
        ground.is_nobody |= matches!(ground.limit, Some(("-u", ..)));
        let kinds = ["run", "run", "worker", "zygote", "fork"];
        let mut steps: Vec<&str> = (0..rng.between(1, 5))
            .map(|_| *rng.choose(&kinds))
            .collect();
        steps.push(*rng.choose(&["drain", "abort", "run"]));
        ground.steps = steps.join(",");
        ground
    }

    fn run(&self) -> Ended {
        let mut host = Host::new("life")
            .arg(self.workers)
            .arg(&self.steps)
            .arg(self.timer_us.unwrap_or(0))
            .arg(u8::from(self.is_busy))
            .within(Duration::from_secs(90));
        if let Some(hidden) = self.hidden {
            host = hide(host, hidden);
        }
        if self.is_without_directory {
            host = host.prepared(|| {
                let mut name = *b"/tmp/pinfold-......\0";
                name[13..19].fill(b'X');
                // SAFETY: a string that ends, and that may be written to.
                unsafe {
                    let made = libc::mkdtemp(name.as_mut_ptr().cast());
                    libc::chdir(made);
                    libc::rmdir(made);
                }
                Ok(())
            });
        }
        host = self.with_signals(host);
        if self.is_nobody {
            host = as_nobody(host);
        }
        host = self.with_descriptors(host);
        if let Some((_, resource, value)) = self.limit {
            host = limited(host, resource, value);
        }
        if !self.refused.is_empty() {
            let refusals: Vec<Refusal> = self.refused.iter().map(|(_, one)| *one).collect();
            let filter = Filter::new(&refusals);
            host = host.prepared(move || filter.put_on(false));
        }
        host.run()
    }

    fn with_signals(&self, host: Host) -> Host {
        let (blocked, ignored) = (self.blocked.clone(), self.ignored.clone());
        host.prepared(move || {
            // SAFETY: plain system calls on a set of this closure's.
            unsafe {
                for signal in &ignored {
                    libc::signal(*signal, libc::SIG_IGN);
                }
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&raw mut set);
                for signal in &blocked {
                    libc::sigaddset(&raw mut set, *signal);
                }
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            }
            Ok(())
        })
    }

    fn with_descriptors(&self, host: Host) -> Host {
        let (closed, occupied) = (self.closed.clone(), self.occupied);
        host.prepared(move || {
            // SAFETY: plain system calls. Those that are opened stay open in the program.
            unsafe {
                for _ in 0..occupied {
                    libc::dup(2);
                }
                for fd in &closed {
                    libc::close(*fd);
                }
            }
            Ok(())
        })
    }
}

/// One that leaves enough for the program itself: what it allocates it must get.
fn a_limit(rng: &mut Rng, is_root: bool) -> (&'static str, libc::__rlimit_resource_t, u64) {
    let infinite = libc::RLIM_INFINITY;
    let all = [
        ("-f", libc::RLIMIT_FSIZE, rng.below(400) * MIB),
        ("-f", libc::RLIMIT_FSIZE, rng.below(100) * KIB),
        ("-v", libc::RLIMIT_AS, rng.between(150, 4000) * MIB),
        ("-d", libc::RLIMIT_DATA, rng.between(100, 1000) * MIB),
        ("-n", libc::RLIMIT_NOFILE, rng.between(6, 300)),
        ("-s", libc::RLIMIT_STACK, rng.between(128, 4096) * KIB),
        ("-s", libc::RLIMIT_STACK, infinite),
        ("-l", libc::RLIMIT_MEMLOCK, 0),
        ("-c", libc::RLIMIT_CORE, 0),
        ("-t", libc::RLIMIT_CPU, 30),
        ("-i", libc::RLIMIT_SIGPENDING, 0),
        // For other users only: root has as many as it likes.
        ("-u", libc::RLIMIT_NPROC, rng.between(1, 40)),
    ];
    let end = if is_root { all.len() } else { all.len() - 1 };
    *rng.choose(&all[..end])
}

/// In a view of the file systems of its own, an empty directory lies over `hidden`.
fn hide(host: Host, hidden: &str) -> Host {
    let hidden = CString::new(hidden).expect("text");
    host.prepared(move || {
        // SAFETY: plain system calls on strings that outlive them.
        let done = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    std::ptr::null(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && libc::mount(
                    c"none".as_ptr(),
                    hidden.as_ptr(),
                    c"tmpfs".as_ptr(),
                    0,
                    std::ptr::null(),
                ) == 0
        };
        done.then_some(()).ok_or_else(std::io::Error::last_os_error)
    })
}
