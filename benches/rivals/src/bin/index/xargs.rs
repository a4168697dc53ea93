//! `find | xargs -P`: the same code, a process for every 256 files.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::index::blob::Blob;
use super::index::executor::{Executor, Sequential};
use super::index::group::Group;
use super::index::job::Job;
use super::index::outcome::Tally;

/// The argument that makes this program what xargs starts: lines in a chunk and files,
/// below the current directory, follow.
pub const FILES: &str = "--files";

/// Indexes the files of its arguments, and prints what it has counted.
pub fn index_files() {
    let mut args = std::env::args_os().skip(2);
    let lines = args.next().and_then(|n| n.to_str()?.parse().ok());
    let lines = lines.expect("lines in a chunk");
    let job = Job::new(PathBuf::from("."), lines, Vec::new()).expect("the tree is there");
    let executor = Sequential::new(&job);
    let mut paths = Vec::new();
    let mut files = 0;
    for file in args {
        paths.extend_from_slice(file.as_bytes());
        paths.push(0);
        files += 1;
    }
    let mut group = Group {
        source: job.source.clone(),
        lines: job.lines,
        paths: Blob(paths),
        files,
        resume: None,
    };
    let mut tally = Tally::default();
    loop {
        let outcome = executor.one(group.clone()).expect("an outcome");
        tally.add(&outcome.tally);
        let Some(rest) = outcome.rest else { break };
        group = group.after(rest);
    }
    println!("{} {} {}", tally.files, tally.chunks, tally.bytes);
}

/// Files, chunks and bytes, over all processes.
pub fn run(job: &Job, processes: usize) -> Result<[u64; 3], String> {
    let why = |e: std::io::Error| e.to_string();
    let program = std::env::current_exe().map_err(why)?;
    let mut find = Command::new("find")
        .args([".", "-type", "f", "-printf", "%P\\0"])
        .current_dir(&job.dir)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(why)?;
    let output = Command::new("xargs")
        .args(["-0", "-n", "256", "-P", &processes.to_string()])
        .arg(program)
        .args([FILES, &job.lines.to_string()])
        .current_dir(&job.dir)
        .stdin(find.stdout.take().ok_or("no pipe")?)
        .output()
        .map_err(why)?;
    find.wait().map_err(why)?;
    if !output.status.success() {
        return Err(format!("xargs ended with {}", output.status));
    }
    let mut sums = [0; 3];
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let numbers = line.split(' ').map(|n| n.parse::<u64>().unwrap_or(0));
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    Ok(sums)
}
