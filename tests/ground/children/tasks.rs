//! The roots and their children. Each takes the directory in which it tells how far it is, and a word.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pinfold::{TaskError, context, spawn};

pub type Work = (PathBuf, String);

/// Who waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(40);

pub fn mark(dir: &Path, name: &str) {
    std::fs::write(dir.join(name), b"").expect("writes");
}

pub fn has(dir: &Path, name: &str) -> bool {
    dir.join(name).exists()
}

#[track_caller]
pub fn wait_for(dir: &Path, name: &str) {
    let give_up = Instant::now() + PATIENCE;
    while !has(dir, name) {
        assert!(Instant::now() < give_up, "no sign: {name}");
        nap();
    }
}

fn nap() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Not a loop that the compiler may take for endless and effectless.
fn for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

pub fn nothing(_: ()) {}

pub fn dies(_: ()) {
    std::process::abort();
}

pub fn meet((dir, occasion, n, count): (PathBuf, String, usize, usize)) {
    mark(&dir, &format!("{occasion} {n}"));
    for other in 0..count {
        wait_for(&dir, &format!("{occasion} {other}"));
    }
}

pub fn wait_for_leave((dir, _): Work) {
    mark(&dir, "busy");
    wait_for(&dir, "leave");
}

// Children.

/// Looks when it may, not before: by then it must have been told; and is told still a little later.
fn polite((dir, _): Work) {
    mark(&dir, "begun");
    wait_for(&dir, "look");
    let give_up = Instant::now() + PATIENCE;
    while !context().is_cancelled() {
        assert!(Instant::now() < give_up, "not told");
        nap();
    }
    for _ in 0..20 {
        nap();
        assert!(context().is_cancelled(), "told no more");
    }
    mark(&dir, "told");
}

fn deaf((dir, _): Work) {
    mark(&dir, "begun");
    for_ever();
}

fn listening((dir, _): Work) {
    mark(&dir, "begun");
    wait_for(&dir, "look");
    assert!(!context().is_cancelled(), "told");
    mark(&dir, "was not told");
}

fn quick((dir, _): Work) {
    mark(&dir, "ran");
}

fn done((dir, _): Work) {
    mark(&dir, "done");
}

// Roots.

pub fn root((work, kind): (Work, String)) -> Result<(), String> {
    match &*kind {
        "of_polite" => of_polite(work),
        "of_deaf" => of_deaf(work),
        "of_listening" => of_listening(work),
        "joins_polite" => joins_polite(work),
        "joins_deaf" => joins_deaf(work),
        "of_quick" => of_quick(work),
        "of_done" => of_done(work),
        "detaches_deaf" => detaches_deaf(work),
        "detaches_polite" => detaches_polite(work),
        "detaches_listening" => detaches_listening(work),
        "of_middle_of_polite" => of_middle_of_polite(work),
        "of_middle_of_deaf" => of_middle_of_deaf(work),
        other => Err(format!("no such root: {other}")),
    }
}

/// Until it ends as the word says.
fn ends((dir, word): &Work) -> Result<(), String> {
    match &**word {
        "root_cancelled" => {
            while !context().is_cancelled() {
                nap();
            }
            Err("cancelled".into())
        }
        "root_cancelled_within" | "root_late" => for_ever(),
        _ => {
            wait_for(dir, "die");
            std::process::abort();
        }
    }
}

/// Begins a child elsewhere: it does not join it before it has begun.
macro_rules! roots {
    ($($name:ident: $child:ident),*) => {
        $(fn $name(work: Work) -> Result<(), String> {
            let child = spawn($child, work.clone());
            wait_for(&work.0, "begun");
            if work.1 == "root_late" || work.1 == "root_cancelled_within" {
                // Waits in `join`: nobody is as deaf.
                let _ = child.join();
            }
            ends(&work)
        })*
    };
}

roots!(of_polite: polite, of_deaf: deaf, of_listening: listening);

fn joins_polite(work: Work) -> Result<(), String> {
    spawn(polite, work)
        .join()
        .map_err(|error| error.to_string())?;
    Err("cancelled".into())
}

fn joins_deaf(work: Work) -> Result<(), String> {
    spawn(deaf, work).join().map_err(|error| error.to_string())
}

/// Nobody but the root could run its child.
fn of_quick(work: Work) -> Result<(), String> {
    let _child = spawn(quick, work.clone());
    mark(&work.0, "spawned");
    ends(&work)
}

fn of_done(work: Work) -> Result<(), String> {
    let _child = spawn(done, work.clone());
    wait_for(&work.0, "done");
    mark(&work.0, "begun");
    ends(&work)
}

fn detaches_deaf(work: Work) -> Result<(), String> {
    drop(spawn(deaf, work.clone()));
    wait_for(&work.0, "begun");
    ends(&work)
}

fn detaches_polite((dir, word): Work) -> Result<(), String> {
    drop(spawn(polite, (dir.clone(), word)));
    wait_for(&dir, "begun");
    Ok(())
}

fn detaches_listening((dir, word): Work) -> Result<(), String> {
    drop(spawn(listening, (dir.clone(), word)));
    wait_for(&dir, "begun");
    Ok(())
}

/// Says that it runs, under the name of its word, and ends when it is told to.
pub fn heeds((dir, word): Work) -> Result<(), String> {
    mark(&dir, &word);
    ends(&(dir, "root_cancelled".into()))
}

fn middle_of_polite(work: Work) {
    let _child = spawn(polite, work.clone());
    wait_for(&work.0, "begun");
    wait_for(&work.0, "die");
    std::process::abort();
}

fn middle_of_deaf(work: Work) {
    let _child = spawn(deaf, work.clone());
    wait_for(&work.0, "begun");
    wait_for(&work.0, "die");
    std::process::abort();
}

fn lives_on(middle: pinfold::Child<()>, dir: &Path) -> Result<(), String> {
    // On another worker by now: its child has begun.
    wait_for(dir, "begun");
    let outcome = middle.join();
    if !matches!(outcome, Err(TaskError::WorkerDied { .. })) {
        return Err(format!("{outcome:?}"));
    }
    mark(dir, "middle is lost");
    wait_for(dir, "end");
    match context().is_cancelled() {
        false => Ok(()),
        true => Err("the root was told".into()),
    }
}

fn of_middle_of_polite(work: Work) -> Result<(), String> {
    let dir = work.0.clone();
    lives_on(spawn(middle_of_polite, work), &dir)
}

fn of_middle_of_deaf(work: Work) -> Result<(), String> {
    let dir = work.0.clone();
    lives_on(spawn(middle_of_deaf, work), &dir)
}

/// The first attempt has a child, and dies; the second one heeds.
pub fn of_deaf_then_heeds((dir, word): Work) -> Result<(), String> {
    if has(&dir, "first") {
        return heeds((dir, "second attempt".into()));
    }
    mark(&dir, "first");
    of_deaf((dir, word))
}

/// Writes over the header of the segment, and dies.
pub fn spoils(work: Work) -> Result<(), String> {
    let _child = spawn(deaf, work.clone());
    wait_for(&work.0, "begun");
    wait_for(&work.0, "die");
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(|error| error.to_string())?;
    let is_segment = |line: &&str| line.contains("memfd:pinfold ") && line.contains(" rw-s ");
    let line = maps.lines().find(is_segment).ok_or("no segment")?;
    let (from, _) = line.split_once('-').ok_or("no address")?;
    let base = usize::from_str_radix(from, 16).map_err(|error| error.to_string())?;
    let first = std::ptr::with_exposed_provenance_mut::<u64>(base);
    // SAFETY: mapped and writable; that it is ruinous is the point of it.
    unsafe { first.write_volatile(!0) };
    std::process::abort();
}

/// Its children run elsewhere, and each needs somebody for one of its own: nobody but this one has time.
pub fn helps(dir: PathBuf) -> Result<(), String> {
    for round in 0..ROUNDS {
        let child = spawn(needs_help, (dir.clone(), round.to_string()));
        wait_for(&dir, &format!("{round} begun"));
        child.join().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// So often.
pub const ROUNDS: u32 = 30;

fn needs_help((dir, round): Work) {
    mark(&dir, &format!("{round} begun"));
    // Its parent falls asleep meanwhile.
    std::thread::sleep(Duration::from_millis(20));
    let helped = format!("{round} helped");
    let child = spawn(says, (dir.clone(), helped.clone()));
    wait_for(&dir, &helped);
    let _ = child.join();
}

fn says((dir, word): Work) {
    mark(&dir, &word);
}
