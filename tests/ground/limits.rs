//! Limits of the shell that started the program: each lets it work, or is named by an error.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::host::{Ended, Host};
use crate::{Program, test};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub fn tests() -> Vec<Trial> {
    vec![
        test("the_default_memory_fits_into_ulimit_f", || {
            under(libc::RLIMIT_FSIZE, 300 * MIB).well();
            under(libc::RLIMIT_FSIZE, 64 * MIB).well();
        }),
        test("the_default_memory_fits_into_ulimit_v", || {
            under(libc::RLIMIT_AS, 4_194_304_000).well();
            under(libc::RLIMIT_AS, 300 * MIB).well();
        }),
        test("ulimit_f_is_named", || {
            for limit in [0, KIB, MIB] {
                named(under(libc::RLIMIT_FSIZE, limit), "`ulimit -f`");
            }
        }),
        test("ulimit_v_is_named", || {
            // Below its own size no program is loaded.
            let own = std::env::current_exe().and_then(|exe| exe.metadata());
            let own = own.expect("this program").len();
            for more in [8 * MIB, 16 * MIB, 40 * MIB] {
                works_or_named(
                    under(libc::RLIMIT_AS, own + more),
                    &["`ulimit -v`", "`ulimit -u`"],
                );
            }
        }),
        test("ulimit_n_is_named", || {
            for limit in 5..25 {
                works_or_named(under(libc::RLIMIT_NOFILE, limit), &["`ulimit -n`"]);
            }
        }),
        test("other_limits_do_not_matter", || {
            under(libc::RLIMIT_STACK, 128 * KIB).well();
            under(libc::RLIMIT_STACK, libc::RLIM_INFINITY).well();
            under(libc::RLIMIT_MEMLOCK, 0).well();
            under(libc::RLIMIT_CORE, 0).well();
            under(libc::RLIMIT_CPU, 1).well();
            under(libc::RLIMIT_SIGPENDING, 0).well();
            under(libc::RLIMIT_DATA, 300 * MIB).well();
        }),
        as_root("ulimit_u_is_named", || {
            for limit in 1..10 {
                let host = crate::privilege::as_nobody(Host::new("starts").arg(2));
                let ended = limited(host, libc::RLIMIT_NPROC, limit).run();
                works_or_named(ended, &["`ulimit -u`"]);
            }
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("starts", starts)]
}

/// What only root can try; others see that it was not tried.
pub fn as_root(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    test(name, run).with_ignored_flag(!nix::unistd::geteuid().is_root())
}

/// A host with a soft and hard limit.
pub fn limited(host: Host, resource: libc::__rlimit_resource_t, limit: u64) -> Host {
    host.prepared(move || {
        let limits = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: a valid struct.
        match unsafe { libc::setrlimit(resource, &raw const limits) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

fn under(resource: libc::__rlimit_resource_t, limit: u64) -> Ended {
    let host = Host::new("starts").arg(2).within(Duration::from_secs(30));
    limited(host, resource, limit).run()
}

#[track_caller]
fn named(ended: Ended, limit: &str) {
    assert_eq!(ended.status, 4, "{ended:#?}");
    assert!(ended.stdout.contains(limit), "{limit}: {ended:#?}");
}

#[track_caller]
fn works_or_named(ended: Ended, limits: &[&str]) {
    let is_named = limits.iter().any(|limit| ended.stdout.contains(limit));
    let is_told = ended.status == 4 && is_named;
    assert!(ended.status == 0 || is_told, "{limits:?}: {ended:#?}");
}

/// Starts a runtime with defaults; if that fails says why (and after how many milliseconds),
/// and ends with 4.
fn starts(words: &[String]) {
    let workers = words[0].parse().expect("a number");
    let begin = Instant::now();
    let rt = match pinfold::Runtime::builder().workers(workers).start() {
        Ok(rt) => rt,
        Err(error) => {
            println!("{error}");
            eprintln!("{}", begin.elapsed().as_millis());
            std::process::exit(4);
        }
    };
    match rt.spawn(|n: u64| n * n, 7).join() {
        Ok(square) => assert_eq!(square, 49),
        Err(error) => {
            println!("{error}");
            std::process::exit(4);
        }
    }
}
