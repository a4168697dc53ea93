//! Jobs that never return, and those that wait behind them.

use std::sync::mpsc;
use std::time::Duration;

use super::run;
use crate::background;

fn start() {
    let starter: background::Starter =
        |name, life| std::thread::Builder::new().name(name.into()).spawn(life);
    background::start(starter, starter).expect("there are threads");
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn those_that_never_return_hold_up_nobody() {
    start();
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    for _ in 0..200 {
        let held = held.clone();
        run(move || drop(held.lock()));
    }
    let waits = held.lock().expect("nobody panics");
    let (tell, told) = mpsc::channel();
    run(move || {
        let _ = tell.send(());
    });
    told.recv_timeout(LONG).expect("it is run beside them");
    drop((waits, hold));
}

#[test]
fn one_that_panics_is_one() {
    struct PanicsAgain;
    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic!("when it is dropped");
        }
    }
    start();
    for _ in 0..10 {
        run(|| std::panic::panic_any(PanicsAgain));
    }
    let (tell, told) = mpsc::channel();
    run(move || {
        let _ = tell.send(());
    });
    told.recv_timeout(LONG).expect("it is run");
}
