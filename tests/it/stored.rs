//! Tasks that are kept in a struct beside their runtime.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pinfold::{Memo, Refusal, Runtime, Shutdown, StoredTask, TaskError};

struct Service {
    by_name: BTreeMap<&'static str, StoredTask<u64, u64>>,
    rt: Runtime,
}

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn a_task_is_kept_beside_its_runtime() {
    let rt = Runtime::builder().workers(2).start().unwrap();
    let memo = Memo::new(10);
    let by_name = BTreeMap::from([
        ("square", rt.task(square).stored()),
        ("next", rt.task(|n: u64| n + 1).memoized(&memo).stored()),
        (
            "dies",
            rt.task(|_: u64| -> u64 { std::process::abort() })
                .safe_to_repeat(2)
                .named("it")
                .stored(),
        ),
    ]);
    let service = Service { by_name, rt };
    let service = std::thread::spawn(move || {
        let task = |name: &str| service.by_name[name].clone();
        assert_eq!(task("square").spawn(7).join().unwrap(), 49);
        assert_eq!(task("square").try_spawn(8).unwrap().join().unwrap(), 64);
        assert!(task("square").map(0..100).eq((0..100).map(|n| Ok(n * n))));
        let sum = |outcomes: &mut dyn Iterator<Item = (usize, Result<u64, TaskError>)>| {
            outcomes.map(|(_, value)| value.unwrap()).sum::<u64>()
        };
        assert_eq!(sum(&mut task("square").map_unordered(0..10)), 285);
        let checked = service.rt.task(|n: u64| assert!(n < 10)).stored();
        checked.for_each(0..10).unwrap();
        let before = service.rt.stats().tasks.submitted;
        assert_eq!(task("next").spawn(1).join().unwrap(), 2);
        assert_eq!(task("next").spawn(1).join().unwrap(), 2);
        assert_eq!(service.rt.stats().tasks.submitted, before + 1, "remembered");
        // Settings and name are those of the task that was stored.
        let error = task("dies").spawn(1).join().unwrap_err();
        assert!(
            matches!(&error, TaskError::Poison { attempts, .. } if attempts.len() == 2),
            "{error}"
        );
        service
    });
    let Service { by_name, rt } = service.join().unwrap();
    rt.shutdown(Shutdown::Drain).unwrap();
    assert!(matches!(
        by_name["square"].spawn(1).join(),
        Err(TaskError::Shutdown { .. })
    ));
    drop(rt);
    assert!(matches!(
        by_name["square"].spawn(1).join(),
        Err(TaskError::Shutdown { .. })
    ));
    let refused = by_name["square"].try_spawn(3).unwrap_err();
    assert_eq!((refused.refusal, refused.args), (Refusal::Shutdown, 3));
    assert!(matches!(
        by_name["square"].map(0..2).next(),
        Some(Err(TaskError::Shutdown { .. }))
    ));
}

/// Beside a runtime in a static, too.
#[test]
fn a_task_may_be_a_static() {
    static TASK: OnceLock<StoredTask<String, usize>> = OnceLock::new();
    let rt = Runtime::builder().workers(1).start().unwrap();
    let task = TASK.get_or_init(|| rt.task(|s: String| s.len()).stored());
    let joins = std::thread::scope(|scope| {
        let all = [0, 1, 2].map(|n| scope.spawn(move || task.spawn("x".repeat(n)).join()));
        all.map(|one| one.join().unwrap().unwrap())
    });
    assert_eq!(joins, [0, 1, 2]);
}
