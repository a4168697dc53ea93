//! No descriptor, no process, no memory is left, for a while.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use libtest_mimic::Trial;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use pinfold::{Runtime, Shutdown, TaskError, TimeLimit};

use super::{cause, kill, ms, pids, same, signal_file, until, until_there, works, zygote};
use crate::Program;
use crate::host::Host;

pub fn tests() -> Vec<Trial> {
    let mut tests: Vec<Trial> = [
        (
            "a_worker_is_replaced_without_a_free_descriptor",
            "full.worker",
        ),
        (
            "a_worker_is_replaced_while_another_thread_takes_every_descriptor",
            "full.taken",
        ),
        (
            "a_zygote_is_replaced_without_a_free_descriptor",
            "full.zygote",
        ),
        (
            "tasks_are_told_that_descriptors_are_missing_and_all_works_afterwards",
            "full.outage",
        ),
        ("a_short_lack_of_descriptors_ends_no_task", "full.short"),
        (
            "deaths_are_seen_below_the_limit_of_descriptors",
            "full.below",
        ),
        (
            "spares_that_cannot_be_held_are_not_asked_for_in_a_storm",
            "full.spares",
        ),
        ("a_lack_of_memory_is_told_and_ends", "full.memory"),
    ]
    .into_iter()
    .map(|(test, program)| {
        crate::test(&format!("shortage/{test}"), move || {
            Host::new(program).run().well();
        })
    })
    .collect();
    // Limits of processes hold for every user but root.
    for (test, program) in [
        ("a_lack_of_processes_is_told_and_ends", "full.processes"),
        ("a_lack_of_threads_is_told", "full.threads"),
    ] {
        tests.push(crate::test(&format!("shortage/{test}"), move || {
            as_somebody_else(Host::new(program)).run().well();
        }));
    }
    tests
}

fn as_somebody_else(host: Host) -> Host {
    let uid = 50_000 + std::process::id() % 10_000;
    let is_root = nix::unistd::geteuid().is_root();
    host.prepared(move || {
        if is_root {
            nix::unistd::setgid(uid.into())?;
            nix::unistd::setuid(uid.into())?;
        }
        Ok(())
    })
}

pub fn programs() -> Vec<Program> {
    vec![
        ("full.worker", worker),
        ("full.taken", taken),
        ("full.zygote", zygote_too),
        ("full.outage", outage),
        ("full.short", short),
        ("full.below", below),
        ("full.spares", spares),
        ("full.memory", memory),
        ("full.processes", processes),
        ("full.threads", threads),
    ]
}

/// Takes every descriptor there is, up to a low limit; dropped, they are free again.
struct Filled(Vec<File>);

impl Filled {
    fn now() -> Self {
        let mut all = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            all.push(file);
        }
        Filled(all)
    }
}

/// A thread that takes every descriptor that becomes free.
struct Taker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Taker {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut held = Filled::now();
            while !is_over.load(Ordering::Relaxed) {
                held.0.extend(File::open("/dev/null"));
                std::thread::yield_now();
            }
        });
        Taker {
            thread: Some(thread),
            stop,
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("it ends");
    }
}

fn limit(resource: Resource, soft: u64) {
    let (_, hard) = getrlimit(resource).expect("a limit");
    setrlimit(resource, soft, hard).expect("lower");
}

fn start(workers: usize) -> Runtime {
    limit(Resource::RLIMIT_NOFILE, 96);
    let builder = Runtime::builder().workers(workers).start_attempts(4);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("a runtime");
    assert_eq!(rt.spawn(same, 1).join(), Ok(1));
    rt
}

/// Kills workers one after the other, and waits for their successors; tasks of the others go on.
fn replace_workers(rt: &Runtime, long: &[pinfold::Handle<bool>], busy: &[i32]) {
    let spared = pids(rt)
        .into_iter()
        .find(|pid| !busy.contains(pid))
        .expect("one is idle");
    let place = pids(rt)
        .iter()
        .position(|pid| *pid == spared)
        .expect("it is there");
    let mut present = spared;
    for _ in 0..3 {
        kill(present);
        until("a successor", || {
            let now = pids(rt)[place];
            let is_new = now != 0 && now != present;
            if is_new {
                present = now;
            }
            is_new
        });
        assert_eq!(rt.task(same).at_least_once().spawn(5).join(), Ok(5));
    }
    assert!(long.iter().all(|task| !task.is_finished()));
}

/// Three of four workers are busy until the file is there.
fn busy(rt: &Runtime, path: &std::path::Path) -> (Vec<pinfold::Handle<bool>>, Vec<i32>) {
    let long: Vec<_> = (0..3)
        .map(|_| rt.spawn(until_there, path.to_owned()))
        .collect();
    let is_running = |w: &pinfold::WorkerStats| w.state == pinfold::Activity::Running;
    until("all three run", || {
        rt.stats().workers.iter().filter(|w| is_running(w)).count() == 3
    });
    let stats = rt.stats();
    let busy = stats
        .workers
        .iter()
        .filter(|w| is_running(w))
        .map(|w| w.pid)
        .collect();
    (long, busy)
}

fn finish(rt: &Runtime, path: &std::path::Path, long: Vec<pinfold::Handle<bool>>) {
    File::create(path).expect("room again");
    for task in long {
        assert_eq!(task.join(), Ok(true));
    }
    works(rt);
}

fn worker(_: &[String]) {
    let rt = start(4);
    let (_dir, path) = signal_file("end");
    let (long, busy) = busy(&rt, &path);
    let full = Filled::now();
    replace_workers(&rt, &long, &busy);
    drop(full);
    finish(&rt, &path, long);
}

fn taken(_: &[String]) {
    let rt = start(4);
    let (_dir, path) = signal_file("end");
    let (long, busy) = busy(&rt, &path);
    let taker = Taker::start();
    replace_workers(&rt, &long, &busy);
    // Of a worker without a descriptor too, a task is ended at its limit; at the latest when
    // there is room again.
    let late = rt
        .task(until_there)
        .hard_deadline(ms(200))
        .spawn(path.clone());
    let long_run = rt.task(until_there).run_limit(ms(200));
    let long_run = long_run.spawn(path.clone());
    std::thread::sleep(ms(50));
    drop(taker);
    for (handle, limit) in [(late, TimeLimit::Hard), (long_run, TimeLimit::Run)] {
        let outcome = handle.join();
        let is_over =
            matches!(&outcome, Err(TaskError::DeadlineExceeded { which, .. }) if *which == limit);
        assert!(is_over, "{outcome:?}");
    }
    finish(&rt, &path, long);
}

fn zygote_too(_: &[String]) {
    let rt = start(2);
    let zygote = zygote(&rt);
    let full = Filled::now();
    kill(zygote);
    assert_eq!(rt.task(same).at_least_once().spawn(5).join(), Ok(5));
    drop(full);
    works(&rt);
}

fn outage(_: &[String]) {
    let rt = start(2);
    let zygote = zygote(&rt);
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    limit(Resource::RLIMIT_NOFILE, 3);
    kill(zygote);
    let why = refused(&rt);
    assert!(why.contains("ulimit -n"), "{why}");
    let refused = rt.try_spawn(same, 1).unwrap_err();
    assert_eq!(refused.refusal, pinfold::Refusal::NoWorkers);
    assert!(
        rt.stats()
            .no_workers
            .is_some_and(|why| why.contains("ulimit -n"))
    );
    assert!(cause(rt.spawn(same, 1).join()).contains("ulimit -n"));
    limit(Resource::RLIMIT_NOFILE, soft);
    works(&rt);
    assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
    assert!(matches!(
        rt.spawn(same, 1).join(),
        Err(TaskError::Shutdown { .. })
    ));
}

/// The supervisor is rung all the time, and waits between its attempts all the same.
fn short(_: &[String]) {
    let rt = Runtime::builder()
        .workers(1)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("a runtime");
    let zygote = zygote(&rt);
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    limit(Resource::RLIMIT_NOFILE, 3);
    kill(zygote);
    let tasks: Vec<_> = (0..100u64)
        .map(|n| {
            std::thread::sleep(ms(4));
            let deadline = ms(100_000 - 100 * n);
            rt.task(same).hard_deadline(deadline).spawn(n)
        })
        .collect();
    limit(Resource::RLIMIT_NOFILE, soft);
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.join(), Ok(n as u64));
    }
    works(&rt);
}

/// A program may lower its limit below what it has open: to wait for many is refused then.
fn below(_: &[String]) {
    let rt = Runtime::builder()
        .workers(3)
        .on_drop(Shutdown::Abort)
        .start()
        .expect("a runtime");
    let (_dir, path) = signal_file("end");
    let dies = rt.spawn(until_there, path.clone());
    let is_running = |w: &pinfold::WorkerStats| w.state == pinfold::Activity::Running;
    until("it runs", || rt.stats().workers.iter().any(is_running));
    let stats = rt.stats();
    let runs = stats
        .workers
        .iter()
        .find(|w| is_running(w))
        .expect("it runs");
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    limit(Resource::RLIMIT_NOFILE, 0);
    kill(runs.pid);
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    assert_eq!(rt.spawn(same, 3).join(), Ok(3), "of the others");
    limit(Resource::RLIMIT_NOFILE, soft);
    works(&rt);
}

fn spares(_: &[String]) {
    limit(Resource::RLIMIT_NOFILE, 96);
    let builder = Runtime::builder().workers(1).spares(4);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("a runtime");
    let taker = Taker::start();
    for _ in 0..6 {
        let now = pids(&rt)[0];
        if now != 0 {
            kill(now);
        }
        until("a successor", || ![0, now].contains(&pids(&rt)[0]));
    }
    assert_eq!(rt.task(same).at_least_once().spawn(5).join(), Ok(5));
    drop(taker);
    works(&rt);
}

/// Why tasks are refused; until they are, some may still be run by whoever is about to die.
fn refused(rt: &Runtime) -> String {
    loop {
        let ended = rt.task(same).at_least_once().spawn(5).join();
        if ended != Ok(5) {
            return cause(ended);
        }
    }
}

fn memory(_: &[String]) {
    fn needs_memory() -> Result<Vec<u8>, String> {
        Ok(vec![1; 4 << 20])
    }
    let builder = Runtime::builder()
        .workers(2)
        .worker_init(needs_memory)
        .start_attempts(3);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("a runtime");
    let zygote = zygote(&rt);
    let (_dir, path) = signal_file("end");
    let long = rt.spawn(until_there, path.clone());
    let is_running = |w: &pinfold::WorkerStats| w.state == pinfold::Activity::Running;
    until("it runs", || rt.stats().workers.iter().any(is_running));
    let stats = rt.stats();
    let idle = stats
        .workers
        .iter()
        .position(|w| !is_running(w))
        .expect("the other");
    // What is forked from here on gets no memory.
    let restore = lower(zygote, libc::RLIMIT_AS, 1 << 20);
    kill(pids(&rt)[idle]);
    until("it is missed", || rt.stats().restarts >= 2);
    assert!(!long.is_finished() && rt.stats().no_workers.is_none());
    File::create(&path).expect("a file");
    assert_eq!(long.join(), Ok(true));
    kill(pids(&rt)[1 - idle]);
    let why = refused(&rt);
    assert!(why.contains("memory allocation"), "{why}");
    restore();
    works(&rt);
    until("both work", || pids(&rt).iter().all(|pid| *pid != 0));
}

/// Lowers a limit of another process; returns what restores it.
fn lower(pid: i32, resource: libc::__rlimit_resource_t, soft: u64) -> impl FnOnce() {
    let set = move |soft: Option<u64>| {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a plain call that writes to a limit that lives long enough.
        let read = unsafe { libc::prlimit(pid, resource, std::ptr::null(), &raw mut limit) };
        assert_eq!(read, 0, "{}", std::io::Error::last_os_error());
        let former = limit.rlim_cur;
        limit.rlim_cur = soft.unwrap_or(limit.rlim_max);
        // SAFETY: as above; it reads from it.
        let set = unsafe { libc::prlimit(pid, resource, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        former
    };
    let former = set(Some(soft));
    move || {
        set(Some(former));
    }
}

fn processes(_: &[String]) {
    let builder = Runtime::builder()
        .workers(2)
        .start_attempts(3)
        .keepers(false);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("a runtime");
    let zygote = zygote(&rt);
    let (_dir, path) = signal_file("end");
    let long = rt.spawn(until_there, path.clone());
    let is_running = |w: &pinfold::WorkerStats| w.state == pinfold::Activity::Running;
    until("it runs", || rt.stats().workers.iter().any(is_running));
    let stats = rt.stats();
    let idle = stats
        .workers
        .iter()
        .position(|w| !is_running(w))
        .expect("the other");
    let restore = lower(zygote, libc::RLIMIT_NPROC, 1);
    // One of two: the other goes on.
    kill(pids(&rt)[idle]);
    until("it is missed", || rt.stats().restarts == 1);
    std::thread::sleep(ms(100));
    assert!(!long.is_finished());
    assert_eq!(rt.stats().no_workers, None);
    File::create(&path).expect("a file");
    assert_eq!(long.join(), Ok(true));
    assert_eq!(rt.spawn(same, 1).join(), Ok(1));
    // Both.
    kill(pids(&rt)[1 - idle]);
    let why = refused(&rt);
    assert!(why.contains("ulimit -u"), "{why}");
    restore();
    works(&rt);
    until("both work", || pids(&rt).iter().all(|pid| *pid != 0));
}

fn threads(_: &[String]) {
    fn takes_them_all() -> Result<(), String> {
        limit(Resource::RLIMIT_NPROC, 0);
        Ok(())
    }
    let builder = Runtime::builder()
        .workers(1)
        .threads_per_worker(3)
        .worker_init(takes_them_all)
        .start_attempts(2);
    let rt = builder.start().expect("a runtime");
    let why = cause(rt.spawn(same, 1).join());
    assert!(
        why.contains("no thread") && why.contains("ulimit -u"),
        "{why}"
    );
}
