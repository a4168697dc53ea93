//! Rounds of channels.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pinfold::channel::{Options, Receiver, RecvError, Select, SendFault, Sender};
use pinfold::{Handle, Loan, Shared, TaskError};

use crate::rng::Rng;

use super::{LONG, Parcel, Stage, block_on, check, ended, held, tag, text};

const CAPACITIES: [usize; 6] = [0, 0, 1, 2, 5, 64];

/// Which messages came: of whom, and which of theirs.
type Came = Vec<(u64, u64)>;

/// One in three is bounded by bytes, if it can be, and one in three is compressed.
pub fn some_bytes(options: Options, rng: &mut Rng) -> Options {
    // More than a parcel has.
    let most = 25_000 << rng.below(4);
    let bounded = match rng.once_in(3) {
        true if options != Options::new(0) => options.bytes(most),
        _ => options,
    };
    #[cfg(feature = "lz4")]
    let bounded = match rng.once_in(3) {
        true => bounded.compress(1 << rng.below(12)),
        false => bounded,
    };
    bounded
}

/// Sends it in one of several ways; false if nobody receives any more.
fn send(to: &Sender<Parcel>, parcel: Parcel, how: u64) -> Result<bool, String> {
    let sent = match how % 4 {
        0 => to.send(parcel),
        1 => to.send_timeout(parcel, LONG),
        2 => block_on(to.send_async(parcel)),
        _ => {
            let give_up = Instant::now() + LONG;
            let mut parcel = parcel;
            loop {
                match to.try_send(parcel) {
                    Err(error) if error.fault == SendFault::Full && Instant::now() < give_up => {
                        parcel = error.into_value().ok_or("a message does not come back")?;
                        check(parcel.is_right(), || "what comes back is wrong".to_owned())?;
                        std::thread::yield_now();
                    }
                    sent => break sent,
                }
            }
        }
    };
    match sent {
        Ok(()) => Ok(true),
        Err(error) if error.fault == SendFault::Disconnected => {
            let back = error
                .into_value()
                .ok_or("a refused message does not come back")?;
            check(back.is_right(), || "what is refused is wrong".to_owned())?;
            Ok(false)
        }
        Err(error) => Err(format!("send {how}: {error}")),
    }
}

/// Receives in one of several ways; `None` if nobody sends any more.
fn receive(from: &Receiver<Parcel>, how: u64) -> Result<Option<Parcel>, String> {
    let received = match how % 4 {
        0 => from.recv(),
        1 => from.recv_timeout(LONG),
        2 => block_on(from.recv_async()),
        _ => {
            // Two that only try never meet in a channel of capacity 0.
            let brief = Duration::from_micros(100);
            let give_up = Instant::now() + LONG;
            loop {
                match from.try_recv() {
                    Err(RecvError::Empty) => {}
                    received => break received,
                }
                match from.recv_timeout(brief) {
                    Err(RecvError::TimedOut { .. }) if Instant::now() < give_up => {}
                    received => break received,
                }
            }
        }
    };
    match received {
        Ok(parcel) if parcel.is_right() => Ok(Some(parcel)),
        Ok(parcel) => Err(format!("message {} is not what was sent", parcel.n)),
        Err(RecvError::Disconnected) => Ok(None),
        Err(error) => Err(format!("recv {how}: {error}")),
    }
}

fn sends_all(
    to: &Sender<Parcel>,
    count: u64,
    how: u64,
    (alloc, held): (&dyn Fn(usize) -> Loan, &Shared),
) -> Result<(u64, u64), String> {
    let from = tag();
    for n in 0..count {
        let parcel = Parcel::new(from, n, alloc, Some(held));
        if !send(to, parcel, how.wrapping_add(n / 16))? {
            return Ok((from, n));
        }
    }
    Ok((from, count))
}

/// In a task: who it was, and how many it has sent.
fn sends((to, count, how, held): (Sender<Parcel>, u64, u64, Shared)) -> Result<(u64, u64), String> {
    let alloc = |len| pinfold::alloc(len).expect("room");
    sends_all(&to, count, how, (&alloc, &held))
}

fn takes_all(from: &Receiver<Parcel>, how: u64) -> Result<Came, String> {
    let mut came = Vec::new();
    while let Some(parcel) = receive(from, how.wrapping_add(came.len() as u64 / 16))? {
        came.push((parcel.from, parcel.n));
    }
    Ok(came)
}

fn takes((from, how): (Receiver<Parcel>, u64)) -> Result<Came, String> {
    takes_all(&from, how)
}

/// In the order in which each has sent; returns which came.
fn in_order(came: &Came, all: &mut BTreeSet<(u64, u64)>) -> Result<(), String> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (from, n) in came {
        let before = last.insert(*from, *n);
        check(before.is_none_or(|before| before < *n), || {
            format!("{n} after {before:?}")
        })?;
        check(all.insert((*from, *n)), || format!("{n} comes twice"))?;
    }
    Ok(())
}

/// Some send, some receive, in the host and in tasks.
pub fn fan(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let held = held(&alloc);
    let capacity = *stage.rng.choose(&CAPACITIES);
    let options = some_bytes(Options::new(capacity), &mut stage.rng);
    let (to, from) = stage.rt.channel_with::<Parcel>(options).map_err(text)?;
    let count = stage.rng.below(120);
    let senders = stage.rng.below(stage.executors.min(4));
    let receivers = stage.rng.below(stage.executors.min(4) - senders + 1);
    let sends_here = senders == 0 || stage.rng.once_in(2);
    let takes_here = receivers == 0 || stage.rng.once_in(2);
    let is_closed = stage.rng.once_in(6);
    let is_sender_repeated = stage.rng.once_in(3);
    let is_receiver_repeated = stage.rng.once_in(3);
    let how = stage.rng.next();
    let sending: Vec<_> = (0..senders)
        .map(|n| {
            let args = (to.clone(), count, how ^ n, held.clone());
            stage.spawn(sends, args, is_sender_repeated)
        })
        .collect();
    let taking: Vec<_> = (0..receivers)
        .map(|n| stage.spawn(takes, (from.clone(), how ^ n), is_receiver_repeated))
        .collect();
    let (closes, pause) = (to.clone(), Duration::from_micros(stage.rng.below(3000)));
    let (sent_here, came_here) = std::thread::scope(|scope| {
        let (alloc, held) = (&alloc, &held);
        let sends = scope.spawn(move || match sends_here {
            true => sends_all(&to, count, how >> 8, (alloc, held)).map(Some),
            false => Ok(None),
        });
        if is_closed {
            std::thread::sleep(pause);
            closes.close();
        }
        drop(closes);
        let came = match takes_here {
            true => takes_all(&from, how >> 16).map(Some),
            false => Ok(None),
        };
        drop(from);
        (sends.join().expect("no panic"), came)
    });
    let what = format!("{options:?}, {senders} senders, {receivers} receivers, how {how}");
    let context = |error| format!("{error}; {what}");
    let mut sent: Vec<(u64, u64)> = sent_here.map_err(context)?.into_iter().collect();
    for handle in sending {
        sent.extend(ended(handle, is_sender_repeated).map_err(context)?);
    }
    let mut all = BTreeSet::new();
    let mut all_live = !is_receiver_repeated || receivers == 0;
    if let Some(came) = came_here.map_err(context)? {
        in_order(&came, &mut all).map_err(context)?;
    }
    for handle in taking {
        match ended(handle, is_receiver_repeated).map_err(context)? {
            Some(came) => in_order(&came, &mut all).map_err(context)?,
            None => all_live = false,
        }
    }
    if !all_live {
        return Ok(());
    }
    // Nothing that was sent is lost, whoever of the senders has died.
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for (from, n) in &all {
        let next = counts.entry(*from).or_default();
        check(*n == *next, || format!("{next} of {from} is lost; {what}"))?;
        *next += 1;
    }
    for (from, count) in sent {
        let came = counts.get(&from).copied().unwrap_or(0);
        // One that is sent while somebody closes may be too late.
        let is_all = came == count || (is_closed && came + 1 >= count);
        check(is_all, || format!("{came} of {count} came; {what}"))?;
    }
    Ok(())
}

/// Sends on what it receives, after it has said that it begins.
fn echoes((from, to, how): (Receiver<Parcel>, Sender<Parcel>, u64)) -> Result<(), String> {
    let begins = Parcel::new(0, tag(), &|len| pinfold::alloc(len).expect("room"), None);
    if !send(&to, begins, 0)? {
        return Ok(());
    }
    while let Some(parcel) = receive(&from, how)? {
        if !send(&to, parcel, how >> 8)? {
            return Err("nobody receives".to_owned());
        }
    }
    Ok(())
}

/// Messages go to tasks and come back; each death costs one at most.
pub fn echo(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let held = held(&alloc);
    let capacities = [0, 1].map(|_| *stage.rng.choose(&CAPACITIES));
    let (there, to_task) = stage.rt.channel(capacities[0]).map_err(text)?;
    let (to_host, here) = stage.rt.channel(capacities[1]).map_err(text)?;
    let count = stage.rng.below(150);
    let how = stage.rng.next();
    let tasks = 1 + stage.rng.below(stage.executors.min(3));
    let is_repeated = stage.rng.once_in(2);
    let handles: Vec<_> = (0..tasks)
        .map(|n| {
            let args = (to_task.clone(), to_host.clone(), how ^ n);
            stage.spawn(echoes, args, is_repeated)
        })
        .collect();
    drop((to_task, to_host));
    let (sent, came) = std::thread::scope(|scope| {
        let (alloc, held) = (&alloc, &held);
        let sends = scope.spawn(move || sends_all(&there, count, how >> 16, (alloc, held)));
        let came = takes_all(&here, how >> 24);
        (sends.join().expect("no panic"), came)
    });
    let what =
        format!("capacities {capacities:?}, {tasks} tasks, repeated: {is_repeated}, how {how}");
    let context = |error| format!("{error}; {what}");
    let (begins, came): (Came, Came) =
        (came.map_err(context)?.into_iter()).partition(|(from, _)| *from == 0);
    let (_, sent) = sent.map_err(context)?;
    let mut died = 0;
    for handle in handles {
        died += u64::from(ended(handle, is_repeated).map_err(context)?.is_none());
    }
    let mut all = BTreeSet::new();
    if tasks == 1 {
        in_order(&came, &mut all).map_err(context)?;
    } else {
        all.extend(came.iter().copied());
        check(all.len() == came.len(), || context("twice".to_owned()))?;
    }
    if died == tasks {
        return Ok(()); // what was on its way is gone
    }
    let again = if is_repeated {
        died + (begins.len() as u64).saturating_sub(tasks)
    } else {
        died
    };
    let lost = sent - all.len() as u64;
    check(lost <= again && (died > 0 || sent == count), || {
        format!("{lost} of {sent}, {count} are lost, {again} have died; {what}")
    })
}

type Request = (Parcel, Sender<u64>);

fn serves(requests: Receiver<Request>) -> Result<(), String> {
    for (parcel, reply) in &requests {
        check(parcel.is_right(), || "a request is wrong".to_owned())?;
        let _ = reply.send(!parcel.n);
    }
    Ok(())
}

/// Each request has an end in it; who asks is told if whoever has it dies.
pub fn requests(stage: &mut Stage<'_>) -> Result<(), String> {
    let alloc = stage.alloc();
    let capacity = *stage.rng.choose(&CAPACITIES);
    let (ask, requests) = stage.rt.channel::<Request>(capacity).map_err(text)?;
    let tasks = 1 + stage.rng.below(stage.executors.min(3));
    let is_repeated = stage.rng.once_in(2);
    let servers: Vec<_> = (0..tasks)
        .map(|_| stage.spawn(serves, requests.clone(), is_repeated))
        .collect();
    drop(requests);
    let from = tag();
    for n in 0..stage.rng.below(100) {
        let room = *stage.rng.choose(&[0, 1]);
        let (reply, answer) = stage.rt.channel(room).map_err(text)?;
        let parcel = Parcel::new(from, n, &alloc, None);
        match ask.send_timeout((parcel, reply), LONG) {
            Ok(()) => {}
            Err(error) if error.fault == SendFault::Disconnected => break, // all have died
            Err(error) => return Err(format!("a request, capacity {capacity}: {error}")),
        }
        match answer.recv_timeout(LONG) {
            Ok(number) => check(number == !n, || "a wrong reply".to_owned())?,
            Err(RecvError::Disconnected) => {} // its server has died
            Err(error) => return Err(format!("a reply, capacity {capacity}, {room}: {error}")),
        }
    }
    drop(ask);
    for server in servers {
        ended(server, is_repeated)?;
    }
    Ok(())
}

/// Selects from several receivers, and sends on by a select.
fn mixes((all, to): (Vec<Receiver<Parcel>>, Sender<Parcel>)) -> Result<u64, String> {
    let (mut count, mut left) = (0, all.len());
    let mut select = Select::new();
    for from in &all {
        select.recv(from);
    }
    while left > 0 {
        let chosen = select.wait_timeout(LONG);
        let chosen = chosen.map_err(|e| format!("select of {left}: {e}"))?;
        let index = chosen.index();
        let mut parcel = match chosen.recv(&all[index]) {
            Ok(parcel) => parcel,
            Err(RecvError::Disconnected) => {
                select.remove(index);
                left -= 1;
                continue;
            }
            Err(error) => return Err(format!("selected: {error}")),
        };
        check(parcel.is_right(), || {
            "what was selected is wrong".to_owned()
        })?;
        loop {
            let mut sends = Select::new();
            sends.send(&to);
            let chosen = sends
                .wait_timeout(LONG)
                .map_err(|e| format!("to send: {e}"))?;
            match chosen.send(&to, parcel) {
                Ok(()) => break,
                // Who waited has left.
                Err(error) if error.fault == SendFault::Full => {
                    parcel = error.into_value().ok_or("it does not come back")?;
                }
                Err(error) if error.fault == SendFault::Disconnected => return Ok(count),
                Err(error) => return Err(format!("selected send: {error}")),
            }
        }
        count += 1;
    }
    Ok(count)
}

/// Who waits for ever, until it is told to end.
fn waits((from, to): (Receiver<Parcel>, Sender<Parcel>)) -> Result<(), String> {
    let _ = to.try_send(Parcel::new(
        1,
        1,
        &|len| pinfold::alloc(len).expect("room"),
        None,
    ));
    match from.recv() {
        Err(RecvError::Cancelled) => Ok(()),
        other => Err(format!("nobody sends: {:?}", other.map(|_| ()))),
    }
}

/// Some send into several channels; some select from these, and the host from all that comes.
pub fn mixers(stage: &mut Stage<'_>) -> Result<(), String> {
    if stage.executors < 2 {
        return Ok(());
    }
    let alloc = stage.alloc();
    let held = held(&alloc);
    let how = stage.rng.next();
    let count = stage.rng.below(60);
    let capacities: Vec<usize> = (0..1 + stage.rng.below(3))
        .map(|_| *stage.rng.choose(&CAPACITIES))
        .collect();
    let what = format!("capacities {capacities:?}, how {how}");
    let context = |error: String| format!("{error}; {what}");
    let channel = |capacity: &usize| stage.rt.channel::<Parcel>(*capacity).map_err(text);
    let ends = capacities.iter().map(channel);
    let (to, from): (Vec<_>, Vec<_>) = ends.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let (to_host, here) = stage
        .rt
        .channel(*stage.rng.choose(&CAPACITIES))
        .map_err(text)?;
    let mixers = 1 + stage.rng.below((stage.executors - 1).min(2));
    let senders = stage.executors.min(4) - mixers;
    let handles: Vec<Handle<Result<u64, String>>> = (0..mixers)
        .map(|_| stage.spawn(mixes, (from.clone(), to_host.clone()), false))
        .collect();
    drop((from, to_host));
    let waiting = (senders > 0 && stage.rng.once_in(2)).then(|| {
        let (keeps, never) = channel(&1)?;
        let (there, _) = channel(&1)?;
        Ok::<_, String>((keeps, stage.spawn(waits, (never, there), false)))
    });
    let waiting = waiting.transpose()?;
    let sending: Vec<_> = (u64::from(waiting.is_some())..senders)
        .map(|n| {
            let to = to[n as usize % to.len()].clone();
            stage.spawn(sends, (to, count, how ^ n, held.clone()), false)
        })
        .collect();
    let all = std::thread::scope(|scope| {
        let (alloc, held) = (&alloc, &held);
        scope.spawn(move || sends_all(&to[0], count, how >> 16, (alloc, held)));
        let mut select = Select::new();
        let message = select.recv(&here);
        let mut ends: Vec<usize> = handles.iter().map(|handle| select.handle(handle)).collect();
        let tick = select.every(Duration::from_millis(1));
        let mut all = BTreeSet::new();
        let give_up = Instant::now() + LONG;
        loop {
            let chosen = select
                .wait_timeout(LONG)
                .map_err(|e| format!("host: {e}"))?;
            let index = chosen.index();
            if index == message {
                match chosen.recv(&here) {
                    Ok(parcel) => {
                        check(parcel.is_right(), || "what comes is wrong".to_owned())?;
                        let is_new = all.insert((parcel.from, parcel.n));
                        check(is_new, || "a message comes twice".to_owned())?;
                    }
                    Err(RecvError::Disconnected) => select.remove(message),
                    Err(error) => return Err(format!("host: {error}")),
                }
            } else {
                ends.retain(|end| *end != index);
                if index != tick {
                    chosen.remove();
                }
            }
            check(Instant::now() < give_up, || {
                "the host does not end".to_owned()
            })?;
            if ends.is_empty() {
                return Ok(all);
            }
        }
    });
    if let Some((keeps, mut handle)) = waiting {
        handle.cancel();
        match handle.join_timeout(LONG) {
            None => return Err(context("one that was cancelled does not end".to_owned())),
            Some(Ok(Err(what))) => return Err(context(what)),
            Some(Ok(Ok(())) | Err(TaskError::Cancelled { .. } | TaskError::WorkerDied { .. })) => {}
            Some(Err(error)) => return Err(context(error.to_string())),
        }
        drop(keeps);
    }
    let mut all_live = true;
    let mut sum = 0;
    for handle in handles {
        match ended(handle, false).map_err(context)? {
            Some(count) => sum += count,
            None => all_live = false,
        }
    }
    for handle in sending {
        ended(handle, false).map_err(context)?;
    }
    let came = all.map_err(context)?.len() as u64 + here.try_iter().count() as u64;
    check(!all_live || sum == came, || {
        context(format!("{sum} were sent on, {came} came"))
    })
}
