//! What workers and executors make before their first task, and keep for all of them.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use pinfold::{Runtime, Shutdown, StartError, StateError, TaskError};

/// Adds a line to a file, in one write.
fn line(path: &PathBuf, what: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(format!("{what}\n").as_bytes()).unwrap();
}

fn lines(path: &PathBuf, what: &str) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| *line == what).count()
}

struct Table(Vec<u64>);

fn table(from: Vec<u64>) -> Result<Table, String> {
    Ok(Table(from))
}

fn sum(_: ()) -> Option<u64> {
    pinfold::worker_state::<Table>().map(|table| table.0.iter().sum())
}

/// Long ones too; and every start of a worker has them, of a fold that is built anew as well.
#[test]
fn every_start_of_a_worker_has_the_arguments_of_its_init() {
    let numbers: Vec<u64> = (0..100_000).collect();
    let expected = Some(numbers.iter().sum());
    let cap = 1 << 20;
    let rt = Runtime::builder()
        .workers(1)
        .memory_cap(cap as u64)
        .worker_init_with(table, numbers)
        .start()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(rt.spawn(sum, ()).join().unwrap(), expected);
        let died = rt.spawn(|(): ()| -> () { std::process::abort() }, ());
        assert!(died.join().is_err());
    }
    assert!(rt.spawn(super::hunted::wreck, cap).join().is_err());
    for _ in 0..3000 {
        if rt.stats().rebuilds == 1 {
            break;
        }
        let _ = rt.spawn(|n: usize| "x".repeat(n), 5000).join();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rt.spawn(sum, ()).join().unwrap(), expected);

    // A spare hears of them as well.
    let spares = Runtime::builder()
        .workers(1)
        .spares(1)
        .worker_init_with(table, vec![1, 2])
        .start()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(spares.spawn(sum, ()).join().unwrap(), Some(3));
        let died = spares.spawn(|(): ()| -> () { std::process::abort() }, ());
        assert!(died.join().is_err());
    }
}

#[test]
fn arguments_of_an_init_that_do_not_travel() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let loan = rt.alloc(10).unwrap();
    let init = |_: pinfold::Loan| Ok::<_, String>(());
    let refused = Runtime::builder().worker_init_with(init, loan).start();
    let error = refused.unwrap_err();
    assert!(matches!(error, StartError::InitArguments(_)), "{error}");
    assert!(error.to_string().contains("a buffer"), "{error}");

    // The last call counts.
    let rt = Runtime::builder()
        .workers(1)
        .worker_init_with(table, vec![1])
        .worker_init(|| Ok::<_, String>(Table(vec![7])))
        .start()
        .unwrap();
    assert_eq!(rt.spawn(sum, ()).join().unwrap(), Some(7));
}

fn fails_in(worker: usize) -> Result<(), String> {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    match name.trim() == format!("pinfold-wk-{worker}") {
        true => Err(format!("no model for {worker}")),
        false => Ok(()),
    }
}

/// One that fails is enough; what it said is in the error, and nothing is left.
#[test]
fn a_checked_start_tells_the_first_failure() {
    let builder = || Runtime::builder().workers(2).start_attempts(3);
    let refused = builder().worker_init_with(fails_in, 1).start_checked();
    let Err(StartError::Worker { worker, reason }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(worker, 1);
    assert!(reason.contains("no model for 1"), "{reason}");

    let init = || -> Result<(), String> { panic!("no such device") };
    let error = builder().worker_init(init).start_checked().unwrap_err();
    assert!(error.to_string().contains("no such device"), "{error}");

    let init = || -> Result<(), String> {
        eprintln!("library: bad licence");
        std::process::exit(3)
    };
    let error = builder().worker_init(init).start_checked().unwrap_err();
    let words = error.to_string();
    assert!(
        words.contains("status 3") && words.contains("bad licence"),
        "{words}"
    );

    let init = || -> Result<(), String> {
        loop {
            std::thread::park();
        }
    };
    let slow = builder()
        .worker_init(init)
        .worker_init_timeout(Duration::from_millis(50));
    let error = slow.start_checked().unwrap_err();
    assert!(error.to_string().contains("within 50ms"), "{error}");

    let init = || Err::<(), _>("no decoder");
    let error = builder().executor_init(init).start_checked().unwrap_err();
    assert!(error.to_string().contains("no decoder"), "{error}");

    let rt = builder()
        .worker_init_with(table, vec![5])
        .start_checked()
        .unwrap();
    assert_eq!(rt.spawn(sum, ()).join().unwrap(), Some(5));
}

/// Neither `Send` nor `Sync`, and written without locks.
struct Own {
    count: Rc<Cell<u64>>,
    path: PathBuf,
}

impl Drop for Own {
    fn drop(&mut self) {
        line(&self.path, "dropped");
    }
}

fn own() -> Result<Own, String> {
    let path = pinfold::worker_state::<PathBuf>().ok_or("no path")?;
    line(path, "made");
    Ok(Own {
        count: Rc::new(Cell::new(0)),
        path: path.clone(),
    })
}

fn count(_: ()) -> Result<u64, String> {
    let count = pinfold::context().with_state_mut(|own: &mut Own| {
        own.count.set(own.count.get() + 1);
        own.count.get()
    });
    count.map_err(|error| error.to_string())
}

#[test]
fn each_executor_has_state_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lines");
    let rt = Runtime::builder()
        .workers(2)
        .threads_per_worker(2)
        .worker_init_with(Ok::<PathBuf, String>, path.clone())
        .executor_init(own)
        .start_checked()
        .unwrap();
    assert_eq!(lines(&path, "made"), 4);
    let mut counts: Vec<u64> = rt
        .map(count, (0..400).map(|_| ()))
        .map(|n| n.unwrap().unwrap())
        .collect();
    // Each counts on from 1: no number is there more often than there are executors.
    counts.sort();
    let most = counts.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
    assert!(most <= Some(4), "{counts:?}");
    assert_eq!(counts[0], 1);

    let wrong = |_: ()| {
        pinfold::context().with_state_mut(|_: &mut u64| ())
            == Err(StateError::Missing {
                wanted: "u64".into(),
            })
    };
    assert_eq!(rt.spawn(wrong, ()).join(), Ok(true));
    rt.shutdown(Shutdown::Drain).unwrap();
    assert_eq!(lines(&path, "dropped"), 4);
}

/// Whoever has it already gets an error, be it in a child that is run on the spot; after a
/// panic it can be had again.
#[test]
fn an_executors_state_is_given_out_once_at_a_time() {
    fn twice(_: ()) -> bool {
        let context = pinfold::context();
        let inner = |_: &mut u64| {
            let again = context.with_state_mut(|_: &mut u64| ());
            let child = pinfold::spawn(
                |_: ()| {
                    pinfold::context().with_state_mut(|_: &mut u64| ()) == Err(StateError::InUse)
                },
                (),
            );
            again == Err(StateError::InUse) && child.join() == Ok(true)
        };
        context.with_state_mut(inner) == Ok(true)
    }
    let rt = Runtime::builder()
        .workers(1)
        .executor_init(|| Ok::<u64, String>(1))
        .start()
        .unwrap();
    assert_eq!(rt.spawn(twice, ()).join(), Ok(true));
    let panics = |_: ()| {
        let _ = pinfold::context().with_state_mut(|n: &mut u64| {
            *n = 9;
            panic!("in the middle");
        });
    };
    let error = rt.spawn(panics, ()).join();
    assert!(
        matches!(error, Err(TaskError::Panicked { .. })),
        "{error:?}"
    );
    let read = |_: ()| pinfold::context().with_state_mut(|n: &mut u64| *n).ok();
    assert_eq!(rt.spawn(read, ()).join(), Ok(Some(9)));
}

/// Each thread knows where it is, from `worker_init` on.
#[test]
fn a_task_knows_its_worker_and_executor() {
    type Place = (Option<usize>, Option<usize>, Option<usize>);
    fn place() -> Place {
        let context = pinfold::context();
        (context.worker(), context.executor(), context.worker_count())
    }
    let rt = Runtime::builder()
        .workers(2)
        .threads_per_worker(2)
        .worker_init(|| Ok::<_, String>(place()))
        .executor_init(|| Ok::<_, String>(place()))
        .start_checked()
        .unwrap();
    let places = |_: ()| {
        let own = pinfold::context().with_state_mut(|place: &mut Place| *place);
        let elsewhere = std::thread::spawn(place).join().unwrap();
        let by_init = *pinfold::worker_state::<Place>().unwrap();
        (place(), own.ok(), by_init, elsewhere)
    };
    for of in rt.map(places, (0..50).map(|_| ())) {
        let (here, own, by_init, elsewhere) = of.unwrap();
        let (Some(worker), Some(executor), Some(2)) = here else {
            panic!("{here:?}");
        };
        assert!(worker < 2 && executor / 2 == worker, "{here:?}");
        assert_eq!(own, Some(here));
        assert_eq!(by_init, (Some(worker), Some(2 * worker), Some(2)));
        assert_eq!(elsewhere, (Some(worker), None, Some(2)));
    }
    assert_eq!(place(), (None, None, None), "in the host");
}
