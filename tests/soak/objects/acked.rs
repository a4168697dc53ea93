//! A round of a channel whose messages are acknowledged.

use std::collections::BTreeSet;

use pinfold::channel::{Delivery, Options, Receiver, RecvError, SendFault, Sender};

use super::channels::some_bytes;
use super::{LONG, Parcel, Stage, check, ended, held, tag, text};

/// Says what it has, and acknowledges it then; gives some back the first time.
fn deals(
    (from, done, gives_back): (Receiver<Delivery<Parcel>>, Sender<u64>, u64),
) -> Result<(), String> {
    loop {
        let delivery = match from.recv_timeout(LONG) {
            Ok(delivery) => delivery,
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(format!("a delivery: {error}")),
        };
        check(delivery.is_right(), || {
            format!("delivery {} is not what was sent", delivery.n)
        })?;
        if delivery.attempt() == 1 && delivery.n % gives_back == 0 {
            continue;
        }
        if done.send(delivery.n).is_err() {
            return Err("nobody is told of deliveries".to_owned());
        }
        let _ = delivery.ack();
    }
}

/// Whoever dies: each message is dealt with.
pub fn deliveries(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let held = held(&alloc);
    let capacity = *stage.rng.choose(&[1, 2, 5, 64]);
    let options = some_bytes(Options::new(capacity), &mut stage.rng);
    let (to, from) = stage.rt.acked_channel::<Parcel>(options).map_err(text)?;
    let (done, told) = stage.rt.channel(64).map_err(text)?;
    let count = stage.rng.below(120);
    let gives_back = 1 + stage.rng.below(6);
    let tasks = stage.rng.below(stage.executors.min(3) + 1);
    let is_repeated = stage.rng.once_in(2);
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let args = (from.clone(), done.clone(), gives_back);
            stage.spawn(deals, args, is_repeated)
        })
        .collect();
    let what = format!("{options:?}, {tasks} tasks, repeated: {is_repeated}, {gives_back}");
    let context = |error| format!("{error}; {what}");
    let (sent, dealt, all) = std::thread::scope(|scope| {
        let (alloc, held) = (&alloc, &held);
        let sends = scope.spawn(move || {
            let tag = tag();
            for n in 0..count {
                let parcel = Parcel::new(tag, n, alloc, Some(held)).for_many();
                match to.send_timeout(parcel, LONG) {
                    Ok(()) => {}
                    Err(error) if error.fault == SendFault::Disconnected => return Ok(n),
                    Err(error) => return Err(format!("send {n}: {error}")),
                }
            }
            Ok(count)
        });
        let deals = scope.spawn(move || deals((from, done, gives_back)));
        let all: BTreeSet<u64> = told.iter().collect();
        let (sends, deals) = (sends.join(), deals.join());
        (sends.expect("no panic"), deals.expect("no panic"), all)
    });
    for handle in handles {
        ended(handle, is_repeated).map_err(context)?;
    }
    dealt.map_err(context)?;
    let sent = sent.map_err(context)?;
    check(sent == count && all == (0..count).collect(), || {
        context(format!(
            "{sent} of {count} are sent, dealt with are {all:?}"
        ))
    })
}
