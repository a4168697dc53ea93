//! An HTTP server whose requests are tasks: axum on tokio in front, a fold of processes behind.
//!
//! ```text
//! cargo run -p pinfold-web -- 127.0.0.1:8080
//! curl http://127.0.0.1:8080/primes/1000000
//! ```
//!
//! - A request waits for room without blocking a thread (`spawn_async`).
//! - A task that runs too long is killed, and its request told so (`run_limit`).
//! - When the client goes away axum drops the request's future, and with it the handle: the
//!   task is cancelled (`abort_on_drop_within`).
//! - SIGTERM and Ctrl-C: no more requests, those that are there are answered, and then the
//!   processes end.
//!
//! `#[tokio::main]` starts threads before `main` does anything; `pinfold::init` and `start` must
//! come before the first thread. So this `main` is an ordinary one, and starts tokio itself.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use pinfold::{Runtime, Shutdown, TaskError};
use tokio::signal::unix::{SignalKind, signal};

const RUN_LIMIT: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_millis(100);

/// How many primes there are below `n`: what is long, and better not done on the threads that
/// serve requests.
fn primes(n: u64) -> u64 {
    let is_prime = |n: &u64| {
        (2..)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    let mut count = 0;
    for n in (2..n).filter(is_prime) {
        if n % 1024 == 1 && pinfold::context().is_cancelled() {
            break; // nobody waits for it any more
        }
        count += 1;
    }
    count
}

async fn count(State(rt): State<Arc<Runtime>>, Path(n): Path<u64>) -> (StatusCode, String) {
    let task = rt.task(primes).run_limit(RUN_LIMIT).named("primes");
    let handle = task.spawn_async(n).await.abort_on_drop_within(GRACE);
    match handle.await {
        Ok(count) => (StatusCode::OK, format!("{count}\n")),
        Err(TaskError::DeadlineExceeded { .. }) => {
            (StatusCode::GATEWAY_TIMEOUT, "that takes too long\n".into())
        }
        Err(TaskError::Shutdown { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".into())
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

async fn health(State(rt): State<Arc<Runtime>>) -> String {
    let tasks = rt.stats().tasks;
    format!(
        "in flight {}, done {}, cancelled {}\n",
        tasks.in_flight, tasks.completed, tasks.cancelled
    )
}

async fn until_told_to_end() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    std::future::poll_fn(|context| {
        let is_told = term.poll_recv(context).is_ready() || int.poll_recv(context).is_ready();
        if is_told {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

async fn serve(rt: Arc<Runtime>, address: String) -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/primes/{n}", get(count))
        .route("/health", get(health))
        .with_state(Arc::clone(&rt));
    axum::serve(listener, app)
        .with_graceful_shutdown(until_told_to_end())
        .await?;
    // All requests are answered; what nobody waits for any more need not go on.
    rt.begin_shutdown(Shutdown::Graceful {
        drain: Duration::ZERO,
        grace: GRACE,
    })
    .await?;
    println!("ended");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    pinfold::init(); // before there is any thread
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".into());
    let rt = Arc::new(Runtime::builder().start()?);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(rt, address))
}
