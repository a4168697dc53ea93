//! What is said when the zygote does not come up.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::host::{Ended, Host};
use crate::{Program, test};

/// What is asked where nothing better is known.
const QUESTION: &str = "is `pinfold::init()` the first thing";

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_loader_is_named", || {
            let me = std::env::current_exe().expect("a path");
            let loader = loader().expect("this program is loaded by one");
            let host = Host::of(&loader).arg(me.display()).arg("host");
            let text = told(host.arg("starts").arg(1).run());
            assert!(text.contains(&loader), "{text}");
            assert!(!text.contains(QUESTION), "{text}");
        }),
        test("threads_before_init_are_named", || {
            let text = told(before_init("thread"));
            assert!(text.contains("one-too-early"), "{text}");
            assert!(text.contains("`#[tokio::main]`"), "{text}");
            let text = told(before_init("unnamed"));
            assert!(text.contains("was called, and"), "no name, so none: {text}");
        }),
        test(
            "a_zygote_that_does_something_else_is_asked_about_init",
            || {
                let text = told(before_init("exit"));
                assert!(text.contains(QUESTION), "{text}");
                assert!(text.contains("exited with status 5"), "{text}");
                assert!(text.contains("usage: ground"), "its last words: {text}");
            },
        ),
        test("a_zygote_that_is_killed_is_not", || {
            let text = told(before_init("kill"));
            assert!(!text.contains(QUESTION), "{text}");
            assert!(text.contains("signal 9"), "{text}");
        }),
        test("a_zygote_that_never_answers_is_given_up", || {
            let text = told(before_init("hang"));
            assert!(text.contains("did not answer within 20 s"), "{text}");
        }),
        test("a_failed_start_waits_for_nobody", || {
            let ended = before_init("exit");
            let took: u64 = ended.stderr.trim().parse().expect("milliseconds");
            assert!(took < 1900, "{took} ms");
        }),
        test("a_stranger_s_variable_does_nothing", || {
            for value in ["", "1", "x"] {
                let mut host = Host::new("starts").arg(1);
                host.command.env("PINFOLD_ZYGOTE", value);
                host.run().well();
            }
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}

/// Names what this program does before `init`.
const BEFORE: &str = "GROUND_BEFORE_INIT";

/// Called first in `main`: what programs do there that should not.
pub fn misbehave() {
    let Ok(what) = std::env::var(BEFORE) else {
        return;
    };
    let is_zygote = std::env::var_os("PINFOLD_ZYGOTE").is_some();
    match &*what {
        "thread" => {
            let builder = std::thread::Builder::new().name("one-too-early".into());
            let (lives, does_live) = std::sync::mpsc::channel();
            let life = move || {
                let _ = lives.send(());
                std::thread::sleep(Duration::from_secs(3600));
            };
            drop(builder.spawn(life).expect("a thread"));
            // It gives itself its name before it does anything else.
            does_live.recv().expect("it lives");
        }
        "unnamed" => drop(std::thread::spawn(std::thread::park)),
        "exit" if is_zygote => {
            eprintln!("usage: ground WORDS");
            std::process::exit(5);
        }
        "hang" if is_zygote => std::thread::sleep(Duration::from_secs(3600)),
        // SAFETY: a signal to this process.
        "kill" if is_zygote => unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
        },
        _ => {}
    }
}

fn before_init(what: &str) -> Ended {
    let mut host = Host::new("starts").arg(1);
    host.command.env(BEFORE, what);
    host.run()
}

/// What a start said that has failed.
#[track_caller]
fn told(ended: Ended) -> String {
    assert_eq!(ended.status, 4, "{ended:#?}");
    ended.stdout
}

/// The dynamic loader that has loaded this program.
fn loader() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|l| l.find('/').map(|at| &l[at..]));
    let mut loaders = paths.filter(|path| path.contains("/ld-linux"));
    loaders.next().map(str::to_owned)
}
