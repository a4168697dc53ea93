//! The zygote is lost: beside damage, and where its children become the program's own.

use std::collections::BTreeSet;
use std::process::Command;

use libtest_mimic::Trial;
use pinfold::{Runtime, Shutdown, TaskError};

use super::{kill, ms, my_pid, same, until, works, zygote};
use crate::Program;
use crate::host::Host;

pub fn tests() -> Vec<Trial> {
    vec![
        crate::test(
            "shortage/damage_and_the_loss_of_the_zygote_together_end_in_order",
            || {
                Host::new("lost.damage").run().well();
            },
        ),
        crate::test(
            "shortage/orphans_of_a_zygote_are_reaped_and_nobody_elses",
            || {
                Host::new("lost.orphans").run().well();
            },
        ),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("lost.damage", damage), ("lost.orphans", orphans)]
}

/// Writes over the segment's header, as a wild task may.
fn scribble() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is there");
    let is_segment = |line: &&str| line.contains("memfd:pinfold") && line.contains("rw-s");
    let line = maps.lines().find(is_segment).expect("the segment");
    let (start, _) = line.split_once('-').expect("a range");
    let start = usize::from_str_radix(start, 16).expect("an address");
    // SAFETY: none is wanted: the memory is mapped, and belongs to others.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0x78, 200) };
}

/// Damages the memory (bit 0) and kills the zygote (bit 1), in an order (bit 2), with a pause.
fn goes_wild((what, pause_us): (u32, u64)) {
    let zygote = nix::unistd::getppid().as_raw();
    let pause = || std::thread::sleep(std::time::Duration::from_micros(pause_us));
    let kills = |is_first: bool| {
        if what & 2 != 0 && is_first == (what & 4 != 0) {
            kill(zygote);
        }
    };
    kills(true);
    pause();
    if what & 1 != 0 {
        scribble();
    }
    pause();
    kills(false);
    std::thread::sleep(ms(1));
}

fn damage(_: &[String]) {
    let seed = std::env::var("PINFOLD_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut random: u64 = seed.unwrap_or(23);
    println!("seed {random}");
    let mut next = move |bound: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let rt = Runtime::builder()
        .workers(2)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("a runtime");
    for round in 0..40 {
        let what = next(8) as u32;
        let pause = [0, 0, 50, 500, 3000][next(5) as usize];
        let wild = rt.spawn(goes_wild, (what, pause));
        std::thread::sleep(std::time::Duration::from_micros(next(4000)));
        let is_later = next(2) == 0;
        if is_later {
            let _ = wild.join();
        }
        // Whatever it is, it ends.
        for n in 0..20 {
            match rt.spawn(same, n).join() {
                Ok(value) => assert_eq!(value, n),
                Err(TaskError::Corrupted { .. } | TaskError::WorkerDied { .. }) => {}
                Err(error) => panic!("round {round}, {what}: {error}"),
            }
        }
    }
    until("it is well", || {
        rt.task(same).at_least_once().spawn(1).join() == Ok(1)
    });
    works(&rt);
}

fn children() -> BTreeSet<(i32, char)> {
    let me = std::process::id().to_string();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
    {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, after)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = after.split_ascii_whitespace().take(2).collect();
        if let [state, parent] = fields[..]
            && parent == me
            && let Ok(pid) = entry.file_name().to_string_lossy().parse()
        {
            found.insert((pid, state.chars().next().expect("a state")));
        }
    }
    found
}

fn orphans(_: &[String]) {
    nix::sys::prctl::set_child_subreaper(true).expect("it may");
    // Children of the program's own: one that has ended, and is not looked at, and one that runs.
    let mut ended = Command::new("true").spawn().expect("true(1)");
    let mut runs = Command::new("sleep").arg("1000").spawn().expect("sleep(1)");
    let rt = Runtime::builder().workers(3).start().expect("a runtime");
    for _ in 0..5 {
        let lost = zygote(&rt);
        kill(lost);
        until("workers of another", || {
            let ran = rt.task(my_pid).at_least_once().spawn(()).join();
            ran.is_ok_and(|pid| pid != 0) && zygote(&rt) != lost
        });
    }
    let own = |all: BTreeSet<(i32, char)>| {
        let mine = [ended.id() as i32, runs.id() as i32];
        all.into_iter()
            .filter(|(pid, _)| !mine.contains(pid))
            .collect::<Vec<_>>()
    };
    until("only the zygote is left", || own(children()).len() == 1);
    drop(rt);
    until("nobody is left", || own(children()).is_empty());
    assert!(ended.wait().expect("nobody else has reaped it").success());
    assert_eq!(runs.try_wait().expect("it is ours"), None);
    runs.kill().expect("it is ours");
    runs.wait().expect("it is ours");
}
