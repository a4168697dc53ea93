//! Ping and pong: two tasks, in two processes, and a ball that goes back and forth between them.
//!
//! It is a buffer of 1 MiB: its memory changes hands, and is not copied.

use std::time::Instant;

use pinfold::Loan;
use pinfold::channel::{Receiver, Sender};

/// Returns each ball, until no more come; writes down in it how often it was hit.
fn play((balls, back): (Receiver<Loan>, Sender<Loan>)) -> u32 {
    let mut hits = 0;
    for mut ball in &balls {
        hits += 1;
        ball[0] += 1;
        if ball[0] == 200 || back.send(ball).is_err() {
            break; // dropping the ends is what the other one hears
        }
    }
    hits
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let (ping, to_ping) = rt.channel::<Loan>(1)?;
    let (pong, to_pong) = rt.channel::<Loan>(1)?;
    let mut ball = rt.alloc(1 << 20)?;
    ball[0] = 0;
    let start = Instant::now();
    ping.send(ball)?; // before its ends go: the host has one of each
    let players = [
        rt.spawn(play, (to_ping, pong)),
        rt.spawn(play, (to_pong, ping)),
    ];
    let mut hits = Vec::new();
    for player in players {
        hits.push(player.join()?);
    }
    println!("{hits:?} hits in {:?}", start.elapsed());
    assert_eq!(hits, [100, 100]);
    Ok(())
}
