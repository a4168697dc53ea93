//! Rounds of broadcast channels.

use std::collections::BTreeMap;

use pinfold::broadcast::{Options, Publisher, RecvError, Subscriber};
use pinfold::channel::{Overflow, SendFault};
use pinfold::{Loan, Shared};

use super::{LONG, Parcel, Stage, check, ended, held, tag, text};

/// Says how many it has sent.
fn publishes_all(
    to: &Publisher<Parcel>,
    count: u64,
    (alloc, held): (&dyn Fn(usize) -> Loan, &Shared),
) -> Result<u64, String> {
    let from = tag();
    for n in 0..count {
        let parcel = Parcel::new(from, n, alloc, Some(held)).for_many();
        match to.send_timeout(parcel, LONG) {
            Ok(()) => {}
            Err(error) if error.fault == SendFault::Disconnected => return Ok(n),
            Err(error) => return Err(format!("to publish {n}: {error}")),
        }
    }
    Ok(count)
}

fn publishes((to, count, held): (Publisher<Parcel>, u64, Shared)) -> Result<u64, String> {
    let alloc = |len| pinfold::alloc(len).expect("room");
    publishes_all(&to, count, (&alloc, &held))
}

/// How many came; that they are right, in order, and none is missing but those that are said to be.
fn reads_all(from: &Subscriber<Parcel>, is_whole: bool) -> Result<(u64, u64), String> {
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut came, mut lagged) = (0, 0);
    loop {
        match from.recv_timeout(LONG) {
            Ok(parcel) => {
                check(parcel.is_right(), || "what is read is wrong".to_owned())?;
                let next = next.entry(parcel.from).or_default();
                let is_next = parcel.n == *next || (lagged > 0 && parcel.n > *next);
                check(is_next || !is_whole, || {
                    format!("{} after {next}, {lagged} lost", parcel.n)
                })?;
                *next = parcel.n + 1;
                came += 1;
            }
            Err(RecvError::Lagged(count)) => lagged += count,
            Err(RecvError::Disconnected) => return Ok((came, lagged)),
            Err(error) => return Err(format!("to read: {error}")),
        }
    }
}

/// One that comes later, too, and does not read.
fn reads(from: Subscriber<Parcel>) -> Result<(u64, u64), String> {
    let lazy = from.subscribe();
    drop(from.recv_timeout(LONG));
    drop(lazy);
    reads_all(&from, false)
}

pub fn broadcast(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let held = held(&alloc);
    let overflow = *stage
        .rng
        .choose(&[Overflow::Block, Overflow::Block, Overflow::DropOldest]);
    let options = Options::new(*stage.rng.choose(&[1, 2, 8, 64])).overflow(overflow);
    let to = stage
        .rt
        .broadcast_channel_with::<Parcel>(options)
        .map_err(text)?;
    let count = stage.rng.below(120);
    let publishers = stage.rng.below(stage.executors.min(3));
    let readers = 1 + stage.rng.below(stage.executors.min(4) - publishers);
    let is_repeated = stage.rng.once_in(3);
    let what = format!("{options:?}, {publishers} publishers, {readers} readers, {is_repeated}");
    let context = |error: String| format!("{error}; {what}");
    let here = to.subscribe().map_err(text)?;
    let mut reading = Vec::new();
    for _ in 0..readers.min(stage.executors - publishers) {
        let from = to.subscribe().map_err(text)?;
        reading.push(stage.spawn(reads, from, is_repeated));
    }
    let sending: Vec<_> = (0..publishers)
        .map(|_| stage.spawn(publishes, (to.clone(), count, held.clone()), is_repeated))
        .collect();
    let (sent, came) = std::thread::scope(|scope| {
        let (alloc, held) = (&alloc, &held);
        let sends = scope.spawn(move || publishes_all(&to, count, (alloc, held)));
        let came = reads_all(&here, true);
        drop(here);
        (sends.join().expect("no panic"), came)
    });
    let (came, lagged) = came.map_err(context)?;
    let mut sent = sent.map_err(context)?;
    let mut all_live = !is_repeated;
    for handle in sending {
        match ended(handle, is_repeated).map_err(context)? {
            Some(count) => sent += count,
            None => all_live = false,
        }
    }
    for handle in reading {
        ended(handle, is_repeated).map_err(context)?;
    }
    check(overflow != Overflow::Block || lagged == 0, || {
        context(format!("{lagged} were lost"))
    })?;
    check(!all_live || sent == came + lagged, || {
        context(format!("{sent} were sent, {came} came, {lagged} lost"))
    })
}
