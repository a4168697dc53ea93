//! A server: each worker opens its model once, requests are tasks, and SIGTERM ends it
//! without losing any that was accepted.

use std::time::Duration;

use pinfold::{Shutdown, TaskError};

/// What takes long to open, and is then used by every task of the worker.
struct Model {
    weights: Vec<f64>,
}

impl Model {
    fn open() -> Result<Self, std::io::Error> {
        Ok(Model {
            weights: (0..1000).map(|n| f64::from(n) / 1000.0).collect(),
        })
    }
}

/// One request.
fn score(inputs: Vec<f64>) -> Option<f64> {
    let model = pinfold::worker_state::<Model>()?;
    let products = inputs.iter().zip(&model.weights).map(|(x, w)| x * w);
    Some(products.sum())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder()
        .workers(2)
        .worker_init(Model::open)
        .start()?;
    let answered = std::thread::scope(|threads| -> Result<_, Box<dyn std::error::Error>> {
        // Stands for whatever accepts requests.
        let requests = threads.spawn(|| {
            let spawn = |n| rt.spawn(score, vec![f64::from(n); 1000]);
            (0..100).map(spawn).collect::<Vec<_>>()
        });
        // Stands for the service manager.
        let mut manager = std::process::Command::new("sh")
            .args(["-c", "sleep 1; kill -TERM $PPID"])
            .spawn()?;
        let signal = pinfold::wait_for_termination()?;
        manager.wait()?;
        println!("asked to end by signal {signal}");
        rt.shutdown(Shutdown::Graceful {
            drain: Duration::from_secs(20),
            grace: Duration::from_secs(5),
        })?;
        let handles = requests.join().map_err(|_| "the thread panicked")?;
        // What was accepted was done; what comes now is refused, and told so.
        assert!(matches!(
            rt.spawn(score, vec![1.0]).join(),
            Err(TaskError::Shutdown { .. })
        ));
        let answers: Result<Vec<_>, _> = handles.into_iter().map(|h| h.join()).collect();
        Ok(answers?)
    })?;
    assert!(answered.iter().all(Option::is_some));
    println!("{} requests answered", answered.len());
    Ok(())
}
