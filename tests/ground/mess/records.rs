//! A program that has a logger of the crate `log`, and no subscriber of `tracing`.

use std::sync::Mutex;

use libtest_mimic::Trial;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::panics::one_worker;
use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![test("mess_a_logger_hears_of_tasks_as_well", || {
        Host::new("records").run().well();
    })]
}

pub fn programs() -> Vec<Program> {
    vec![("records", records)]
}

/// Keeps what it is told.
struct Keeps(Mutex<Vec<(Level, String, String)>>);

static KEEPS: Keeps = Keeps(Mutex::new(Vec::new()));

impl Log for Keeps {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let told = (
            record.level(),
            record.target().into(),
            record.args().to_string(),
        );
        self.0.lock().expect("no panic").push(told);
    }

    fn flush(&self) {}
}

fn records(_: &[String]) {
    log::set_logger(&KEEPS).expect("the first one");
    log::set_max_level(LevelFilter::Info);
    let rt = one_worker();
    let task = |n: u32| {
        log::warn!("item {n} is odd");
        log::debug!("unwanted");
        tracing::info!(target: "elsewhere", n, "by tracing");
        n
    };
    assert_eq!(rt.task(task).named("odd").spawn(7).join(), Ok(7));
    rt.spawn(|(): ()| -> () { panic!("also told") }, ())
        .join()
        .expect_err("it panics");
    let totals = rt.stats().totals;
    assert_eq!((totals.task_panics, totals.logs_dropped), (1, 0));
    drop(rt); // all has been told then
    let told = KEEPS.0.lock().expect("no panic");
    let text = |of: &str| {
        let mut all = told.iter().filter(|(_, target, _)| target.contains(of));
        let (level, _, text) = all.next().expect("one of that target");
        (*level, text.clone())
    };
    let spans = r#"task=odd spans=task{name="odd"} worker=0"#;
    assert_eq!(
        text("mess::records"),
        (Level::Warn, format!("item 7 is odd {spans}"))
    );
    assert_eq!(
        text("elsewhere"),
        (Level::Info, format!("by tracing n=7 {spans}"))
    );
    let (level, text) = text("pinfold");
    assert_eq!(level, Level::Error);
    assert!(
        text.starts_with("a task panicked ") && text.contains("also told"),
        "{text}"
    );
}
