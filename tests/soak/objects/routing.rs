//! Rounds of routers: what is left by receivers that die is handed on.

use std::collections::BTreeSet;

use pinfold::channel::{Receiver, RecvError, Router, SendFault};

use super::{LONG, Parcel, Stage, check, ended, tag, text};

/// Which came, until nobody sends any more.
fn takes(from: Receiver<Parcel>) -> Result<Vec<u64>, String> {
    let mut came = Vec::new();
    loop {
        match from.recv_timeout(LONG) {
            Ok(parcel) => {
                check(parcel.is_right(), || "what comes is wrong".to_owned())?;
                came.push(parcel.n);
            }
            Err(RecvError::Disconnected) => return Ok(came),
            Err(error) => return Err(format!("from a router: {error}")),
        }
    }
}

pub fn router(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let capacity = *stage.rng.choose(&[1, 2, 8, 64]);
    let tasks = 1 + stage.rng.below(stage.executors.min(4));
    let (mut router, mut receivers): (Router<Parcel>, Vec<_>) = (stage.rt)
        .router(1 + tasks as usize, capacity)
        .map_err(text)?;
    router.set_timeout(Some(LONG));
    let own = receivers.remove(0);
    let is_repeated = stage.rng.once_in(3);
    let handles: Vec<_> = receivers
        .into_iter()
        .map(|from| stage.spawn(takes, from, is_repeated))
        .collect();
    let count = stage.rng.below(200);
    let how = stage.rng.next();
    let what = format!("capacity {capacity}, {tasks} tasks, repeated: {is_repeated}");
    let context = |error: String| format!("{error}; {what}");
    let from = tag();
    let (sent, here) = std::thread::scope(|scope| {
        let takes = scope.spawn(move || takes(own));
        let send_all = || -> Result<u64, String> {
            let mut sent = 0;
            for n in 0..count {
                let parcel = Parcel::new(from, n, &alloc, None);
                let is_sent = match (how >> (n % 32)) % 3 {
                    0 => router.send_by_key(&(n % 7), parcel),
                    1 => router.balance(parcel),
                    _ => router.route((n % (1 + tasks)) as usize, parcel),
                };
                match is_sent {
                    Ok(()) => sent += 1,
                    // To one that is gone.
                    Err(error) if error.fault == SendFault::Disconnected => {}
                    Err(error) => return Err(format!("to send {n}: {error}")),
                }
            }
            Ok(sent)
        };
        let sent = send_all();
        let handed_on = router.hand_on();
        drop(router);
        let here = takes.join().expect("no panic");
        (
            sent.and_then(|sent| handed_on.map(|_| sent).map_err(text)),
            here,
        )
    });
    let sent = sent.map_err(context)?;
    let mut all = BTreeSet::new();
    let mut all_live = !is_repeated;
    let mut add = |came: Vec<u64>| {
        let mut came = came.into_iter();
        check(came.all(|n| all.insert(n)), || "one comes twice".to_owned())
    };
    add(here.map_err(context)?).map_err(context)?;
    for handle in handles {
        match ended(handle, is_repeated).map_err(context)? {
            Some(came) => add(came).map_err(context)?,
            None => all_live = false,
        }
    }
    check(!all_live || all.len() as u64 == sent, || {
        context(format!("{} of {sent} came", all.len()))
    })
}
