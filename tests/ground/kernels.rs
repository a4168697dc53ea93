//! System calls that are refused, and old kernels.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::host::{Ended, Host};
use crate::life;
use crate::refuse::{Filter, Refusal, refusal};
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    let mut all = vec![
        test("linux_5_3_is_enough", || {
            // What has come since: all calls with a number of 436 and more, and this advice.
            let old = [
                Refusal {
                    is_since: true,
                    ..refusal(libc::SYS_close_range, libc::ENOSYS)
                },
                Refusal {
                    only: Some((2, libc::MADV_POPULATE_WRITE as u32)),
                    ..refusal(libc::SYS_madvise, libc::EINVAL)
                },
            ];
            well(&without(&old), "Linux 5.3");
        }),
        test("a_host_that_sandboxes_itself_goes_on", || {
            Host::new("sandboxed_later").run().well();
        }),
        test("the_doctor_sees_what_is_there", || {
            let ended = doctor(&[], &[]);
            assert!(ended.status < 2, "{ended:#?}");
            for part in ["pidfd_open", "membarrier", "kernel", "a runtime starts"] {
                assert!(ended.stdout.contains(part), "{ended:#?}");
            }
            let json = doctor(&[], &["--json"]);
            assert_eq!(json.status, ended.status, "{json:#?}");
            let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
            assert_eq!(json["status"], ended.status);
            let calls = json["system_calls"].as_array().expect("all calls");
            assert!(calls.iter().any(|call| call["name"] == "pidfd_open"));
        }),
        test("the_doctor_tells_a_loss", || {
            let ended = doctor(&[refusal(libc::SYS_membarrier, libc::EPERM)], &[]);
            assert_eq!(ended.status, 1, "{ended:#?}");
            assert!(ended.stdout.contains("! membarrier"), "{ended:#?}");
        }),
        test("the_doctor_tells_why_nothing_works", || {
            let refused = [refusal(libc::SYS_pidfd_open, libc::ENOSYS)];
            let ended = doctor(&refused, &[]);
            assert_eq!(ended.status, 2, "{ended:#?}");
            let lines = ["X pidfd_open", "ENOSYS", "X no runtime can start"];
            for line in lines {
                assert!(ended.stdout.contains(line), "{ended:#?}");
            }
            let json = doctor(&refused, &["--json"]);
            assert!(json.stdout.contains("\"status\": 2"), "{json:#?}");
        }),
        test("without_pidfd_open_it_says_so", || {
            let ended = without(&[refusal(libc::SYS_pidfd_open, libc::ENOSYS)]);
            let text = life::told(&ended).expect("it cannot work");
            assert!(text.contains("pidfd_open, to hear of"), "{text}");
        }),
    ];
    for (at, errno) in [(0, libc::EPERM), (1, libc::ENOSYS)] {
        let name = ["EPERM", "ENOSYS"][at];
        for (part, calls) in CALLS.chunks(CALLS.len().div_ceil(4)).enumerate() {
            all.push(test(&format!("refused_by_{name}_{part}"), move || {
                calls.iter().for_each(|call| try_without(call, errno));
            }));
        }
    }
    all
}

pub fn programs() -> Vec<Program> {
    vec![("sandboxed_later", sandboxed_later)]
}

/// Refuses itself what its first runtime was given.
fn sandboxed_later(_: &[String]) {
    let start = || {
        let builder = pinfold::Runtime::builder().workers(2);
        builder.start().expect("starts")
    };
    let work = |rt: &pinfold::Runtime, times: u64| {
        for n in 0..times {
            // The host falls asleep while they run.
            let nap = |n: u64| {
                std::thread::sleep(Duration::from_micros(300));
                n
            };
            assert_eq!(rt.task(nap).safe_to_repeat(10).spawn(n).join(), Ok(n));
        }
        let stats = rt.stats().tasks;
        assert_eq!(stats.damage, 0);
    };
    let before = start();
    work(&before, 20);
    let filter = Filter::new(&[refusal(libc::SYS_membarrier, libc::EPERM)]);
    filter.put_on(true).expect("a filter");
    work(&before, 200);
    let after = start();
    work(&after, 200);
    work(&before, 200);
    // The processes of a new zygote have the filter.
    let zygote = |(): ()| std::os::unix::process::parent_id();
    let zygote = before.spawn(zygote, ()).join().expect("a value");
    // SAFETY: a signal to a child's child.
    unsafe { libc::kill(zygote as i32, libc::SIGKILL) };
    work(&before, 200);
    for rt in [before, after] {
        let stats = rt.stats();
        assert_eq!(stats.rebuilds, 0, "{stats:?}");
    }
}

fn try_without((name, number, what): &(&str, libc::c_long, What), errno: i32) {
    let ended = without(&[refusal(*number, errno)]);
    match what {
        What::Needed => {
            let text = life::told(&ended).unwrap_or_else(|| panic!("{name} is not needed"));
            assert!(text.contains(name), "{name}: {text}");
            assert!(!text.contains("is `pinfold::init()`"), "{name}: {text}");
            assert!(text.contains("pinfold doctor"), "{name}: {text}");
        }
        What::Replaced => well(&ended, name),
    }
}

/// `pinfold doctor` where these calls are refused.
fn doctor(refusals: &[Refusal], words: &[&str]) -> Ended {
    let filter = Filter::new(refusals);
    let mut host = Host::of(env!("CARGO_BIN_EXE_pinfold")).arg("doctor");
    host.command.args(words);
    host.prepared(move || filter.put_on(false)).run()
}

#[track_caller]
fn well(ended: &Ended, what: &str) {
    assert_eq!(life::told(ended), None, "{what}");
}

/// What comes of its being refused.
pub enum What {
    /// An error that names it.
    Needed,
    /// It goes without, or otherwise.
    Replaced,
}

use What::{Needed, Replaced};

/// All that host, zygote, workers and keepers call, but for what every program does to begin.
pub const CALLS: &[(&str, libc::c_long, What)] = &[
    ("memfd_create", libc::SYS_memfd_create, Needed),
    ("ftruncate", libc::SYS_ftruncate, Needed),
    ("fcntl", libc::SYS_fcntl, Needed),
    ("socketpair", libc::SYS_socketpair, Needed),
    ("sendmsg", libc::SYS_sendmsg, Needed),
    ("recvmsg", libc::SYS_recvmsg, Needed),
    ("ppoll", libc::SYS_ppoll, Needed),
    ("pipe2", libc::SYS_pipe2, Needed),
    ("pidfd_open", libc::SYS_pidfd_open, Needed),
    ("clone", libc::SYS_clone, Needed),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, Replaced),
    ("fallocate", libc::SYS_fallocate, Replaced),
    ("madvise", libc::SYS_madvise, Replaced),
    ("sendto", libc::SYS_sendto, Replaced),
    ("recvfrom", libc::SYS_recvfrom, Replaced),
    ("getsockopt", libc::SYS_getsockopt, Replaced),
    ("getsockname", libc::SYS_getsockname, Replaced),
    ("membarrier", libc::SYS_membarrier, Replaced),
    ("sched_setaffinity", libc::SYS_sched_setaffinity, Replaced),
    ("sched_getaffinity", libc::SYS_sched_getaffinity, Replaced),
    ("sched_yield", libc::SYS_sched_yield, Replaced),
    ("prctl", libc::SYS_prctl, Replaced),
    ("close_range", libc::SYS_close_range, Replaced),
    ("setsid", libc::SYS_setsid, Replaced),
    ("chdir", libc::SYS_chdir, Replaced),
    ("waitid", libc::SYS_waitid, Replaced),
    ("wait4", libc::SYS_wait4, Replaced),
    ("dup", libc::SYS_dup, Replaced),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask, Replaced),
    ("getrandom", libc::SYS_getrandom, Replaced),
    ("statx", libc::SYS_statx, Replaced),
    ("getcpu", libc::SYS_getcpu, Replaced),
    ("getrusage", libc::SYS_getrusage, Replaced),
    ("prlimit64", libc::SYS_prlimit64, Replaced),
    ("sigaltstack", libc::SYS_sigaltstack, Replaced),
    ("readlink", libc::SYS_readlink, Replaced),
];

fn without(refusals: &[Refusal]) -> Ended {
    let filter = Filter::new(refusals);
    Host::new("life")
        .arg(2)
        .arg(life::STEPS)
        .within(Duration::from_secs(60))
        .prepared(move || filter.put_on(false))
        .run()
}
