//! On a directory of good, broken and hostile files the batch loses none of the good ones, and
//! tells of each of the others why; whoever is killed.

mod files;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use files::{Files, generate};

/// Who waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds for one image: much more than one of these takes.
const LIMIT: &str = "6";

fn start(from: &Path, to: &Path, limit: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pinfold-service"))
        .args([from, to])
        .arg(limit)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// What is in a directory, and below it.
fn contents(top: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.append(&mut contents(&entry.path()));
        } else {
            // It may have got its name in between.
            let bytes = fs::read(entry.path()).unwrap_or_default();
            found.insert(entry.path(), bytes);
        }
    }
    found
}

/// Each good file has a thumbnail, each bad one is named, and there is nothing else.
fn check(files: &Files, from: &Path, to: &Path, ended: &Output) {
    let (out, told) = (&ended.stdout, String::from_utf8_lossy(&ended.stderr));
    let all = format!("{}\n{told}", String::from_utf8_lossy(out));
    assert_eq!(ended.status.code(), Some(1), "{all}");
    let mut made = contents(to);
    for file in &files.good {
        let mut name = file
            .strip_prefix(from)
            .expect("below")
            .as_os_str()
            .to_owned();
        name.push(".png");
        let bytes = made.remove(&to.join(name));
        let bytes = bytes.unwrap_or_else(|| panic!("no thumbnail of {}: {all}", file.display()));
        let image = image::load_from_memory(&bytes).expect("a whole image");
        assert!(image.width().max(image.height()) <= 128);
    }
    assert!(made.is_empty(), "{:?}", made.keys());
    for file in &files.bad {
        let line = format!("{}: ", file.display());
        assert!(
            told.lines().any(|told| told.starts_with(&line)),
            "{line}: {all}"
        );
    }
    assert_eq!(told.lines().count(), files.bad.len(), "{all}");
}

/// Workers of that program, which it has by way of its zygote.
fn workers(host: u32) -> Vec<Pid> {
    let mut parents = BTreeMap::new();
    let mut workers = Vec::new();
    for entry in fs::read_dir("/proc").expect("is there").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Number, name in brackets, state, parent.
        let Some((name, rest)) = stat
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
        else {
            continue;
        };
        let parent: Option<i32> = rest.split_whitespace().nth(1).and_then(|p| p.parse().ok());
        parents.insert(pid, parent.unwrap_or_default());
        if name.starts_with("pinfold-wk-") {
            workers.push(pid);
        }
    }
    let zygote = |pid: &i32| parents.get(pid).copied().unwrap_or_default();
    let is_ours = |pid: &i32| parents.get(&zygote(pid)) == Some(&(host as i32));
    workers
        .into_iter()
        .filter(is_ours)
        .map(Pid::from_raw)
        .collect()
}

#[track_caller]
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < give_up, "still not: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn none_of_the_good_ones_is_lost() {
    let (from, to) = (
        tempfile::tempdir().expect("one"),
        tempfile::tempdir().expect("two"),
    );
    let mut files = generate(from.path(), 60);
    let (from, first) = (from.path(), to.path().join("first"));
    let ended = start(from, &first, LIMIT).wait_with_output().expect("ends");
    check(&files, from, &first, &ended);
    let told = String::from_utf8_lossy(&ended.stderr);
    let line_of = |name: &str| told.lines().find(|line| line.contains(name)).unwrap_or("");
    // In the words of who was in the way: the kernel, the limit.
    assert!(line_of("decoder.crash").contains("SIGABRT"), "{told}");
    assert!(line_of("decoder.hang").contains("6s"), "{told}");
    // All workers are killed in the middle, and nothing changes: each image has a second attempt.
    fs::remove_file(from.join("decoder.hang")).expect("is there");
    files.bad.retain(|file| !file.ends_with("decoder.hang"));
    let second = to.path().join("second");
    let batch = start(from, &second, LIMIT);
    until("some are done", || contents(&second).len() >= 20);
    let victims = workers(batch.id());
    assert!(!victims.is_empty());
    for victim in victims {
        // One that has died already is none.
        let _ = kill(victim, Signal::SIGKILL);
    }
    let ended = batch.wait_with_output().expect("ends");
    check(&files, from, &second, &ended);
    let below = |top: &Path| {
        let all = contents(top).into_iter();
        let name = |path: PathBuf| path.strip_prefix(top).expect("below").to_owned();
        all.map(|(path, bytes)| (name(path), bytes))
            .collect::<Vec<_>>()
    };
    assert!(below(&first) == below(&second), "the thumbnails differ");
}

#[test]
fn ctrl_c_ends_it_and_leaves_nothing_half_done() {
    let (from, to) = (
        tempfile::tempdir().expect("one"),
        tempfile::tempdir().expect("two"),
    );
    generate(from.path(), 60);
    // As long as there is a file that hangs it does not end by itself.
    let batch = start(from.path(), to.path(), "3600");
    until("some are done", || contents(to.path()).len() >= 5);
    let workers = workers(batch.id());
    kill(Pid::from_raw(batch.id() as i32), Signal::SIGINT).expect("is there");
    let ended = batch.wait_with_output().expect("ends");
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let made = contents(to.path());
    let out = String::from_utf8_lossy(&ended.stdout);
    let told: Option<usize> = out.split(' ').next().and_then(|count| count.parse().ok());
    // One may have been written by a task that was killed before it could say so.
    assert!(
        told.is_some_and(|told| (1..=made.len()).contains(&told)),
        "{out}"
    );
    for (path, bytes) in made {
        let image = image::load_from_memory(&bytes);
        assert!(image.is_ok(), "{}", path.display());
    }
    until("the workers have ended", || {
        workers.iter().all(|worker| kill(*worker, None).is_err())
    });
}
