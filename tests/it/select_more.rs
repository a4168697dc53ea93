//! `Select`: what there is beside channels; ends that go; many channels.

use std::time::Duration;

use pinfold::channel::{Overflow, Receiver, RecvError, Select, SelectError, Sender};
use pinfold::sync::Ticker;
use pinfold::{Child, Runtime, Shutdown, TaskError, broadcast};

const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(256 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Says that it has begun, and returns what it is told.
fn told((begun, go): (Sender<()>, Receiver<u32>)) -> u32 {
    begun.send(()).expect("the parent waits");
    match go.recv() {
        Ok(0) => std::process::abort(),
        number => number.unwrap_or(99),
    }
}

type Ends = (Receiver<String>, Receiver<u32>, Sender<()>);

/// What comes first, again and again: messages, and the end of a child that another runs.
fn messages_and_a_child((messages, go, ready): Ends) -> Vec<String> {
    let (begun, begins) = pinfold::channel(1).expect("room");
    let child = pinfold::spawn(told, (begun, go));
    begins.recv().expect("another executor has it");
    let mut child = Some(child);
    let mut select = Select::new();
    let message = select.recv(&messages);
    let end = select.child(child.as_ref().expect("there"));
    ready.send(()).expect("the host waits");
    let mut all = Vec::new();
    while child.is_some() {
        let chosen = select.wait_timeout(LONG).expect("something comes");
        if chosen.index() == message {
            all.push(chosen.recv(&messages).expect("sent"));
            ready.send(()).expect("the host waits");
            continue;
        }
        assert_eq!(chosen.index(), end);
        chosen.remove();
        all.extend(child.take().map(|child| match child.join() {
            Ok(number) => number.to_string(),
            Err(TaskError::WorkerDied { .. }) => "died".to_owned(),
            Err(other) => other.to_string(),
        }));
    }
    all
}

#[test]
fn a_child_that_another_runs_is_waited_for_beside_messages() {
    let rt = runtime(2);
    for (number, end) in [(7, "7"), (0, "died"), (8, "8")] {
        let (messages, to_task) = rt.channel(1).expect("room");
        let (go, to_child) = rt.channel(1).expect("room");
        let (ready, is_ready) = rt.channel(1).expect("room");
        let task = rt.spawn(messages_and_a_child, (to_task, to_child, ready));
        for message in ["one", "two"] {
            is_ready.recv_timeout(LONG).expect("it goes on");
            messages.send(message.to_owned()).expect("it lives");
        }
        is_ready.recv_timeout(LONG).expect("it goes on");
        go.send(number).expect("it lives");
        assert_eq!(task.join().expect("it lives"), ["one", "two", end]);
    }
}

#[test]
fn a_child_that_nobody_has_begun_is_run_by_who_would_sleep() {
    fn selects(never: Receiver<u32>) -> Result<Vec<u32>, String> {
        let mut children: Vec<Option<Child<u32>>> = (0..5)
            .map(|n| Some(pinfold::spawn(|n: u32| n * n, n)))
            .collect();
        let mut select = Select::new();
        select.recv(&never);
        for child in children.iter().flatten() {
            select.child(child); // numbers 1 to 5
        }
        // Nobody else is there to run them, and who only looks does not.
        let early = select.try_wait().map(|chosen| chosen.index());
        assert_eq!(early, Err(SelectError::NotReady));
        let mut squares = Vec::new();
        while squares.len() < 5 {
            let ended = select.wait().map_err(|error| error.to_string())?.index();
            select.remove(ended);
            let child = children[ended - 1].take().expect("once");
            squares.push(child.join().map_err(|error| error.to_string())?);
        }
        squares.sort_unstable();
        Ok(squares)
    }
    let rt = runtime(1);
    let (_sender, never) = rt.channel(1).expect("room");
    let squares = rt.spawn(selects, never).join().expect("it lives");
    assert_eq!(squares, Ok(vec![0, 1, 4, 9, 16]));
}

#[test]
fn a_task_that_waits_for_children_and_messages_hears_its_cancel() {
    fn waits((begun, go, never): (Sender<()>, Receiver<u32>, Receiver<u32>)) -> Result<(), String> {
        let (child_begun, begins) = pinfold::channel(1).expect("room");
        let child = pinfold::spawn(told, (child_begun, go));
        begins.recv().expect("another executor has it");
        let mut select = Select::new();
        select.child(&child);
        select.recv(&never);
        begun.send(()).expect("the host waits");
        // The child hears it, too, and may have ended first.
        match select.wait().map(|chosen| chosen.index()) {
            Ok(0) | Err(SelectError::Cancelled) => Err("cancelled".to_owned()),
            other => panic!("{other:?}"),
        }
    }
    let rt = runtime(2);
    let (begun, begins) = rt.channel(1).expect("room");
    let ((_go, to_child), (_sender, never)) =
        (rt.channel(1).expect("room"), rt.channel(1).expect("room"));
    let task = rt.spawn(waits, (begun, to_child, never));
    begins.recv_timeout(LONG).expect("it begins");
    task.cancel();
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(rt.stats().restarts, 0);
}

#[test]
fn a_ticker_beside_messages() {
    fn counts((ticker, messages): (Ticker, Receiver<u32>)) -> (u64, u32) {
        let mut select = Select::new();
        let (message, tick) = (select.recv(&messages), select.ticker(&ticker));
        let (mut ticks, mut sum) = (0, 0);
        loop {
            let chosen = select.wait().expect("something comes");
            if chosen.index() == tick {
                ticks += ticker.missed();
                continue;
            }
            assert_eq!(chosen.index(), message);
            match chosen.recv(&messages) {
                Ok(number) => sum += number,
                Err(_) => return (ticks, sum),
            }
        }
    }
    let rt = runtime(1);
    let ticker = Ticker::new(&rt, Duration::from_millis(3)).expect("room");
    let (sender, receiver) = rt.channel(4).expect("room");
    let task = rt.spawn(counts, (ticker.clone(), receiver));
    let mut ticks = 0;
    while ticks < 8 {
        ticks += ticker.wait().expect("it ticks");
        sender.send(1).expect("it lives");
    }
    drop(sender);
    let (told, sum) = task.join().expect("it lives");
    assert!(told > 0 && sum > 0, "{told} ticks, {sum} messages");
}

#[test]
fn a_subscriber_beside_messages() {
    fn follows((prices, stop): (broadcast::Subscriber<u32>, Receiver<()>)) -> (Vec<u32>, u64) {
        let mut select = Select::new();
        let (stopped, price) = (select.recv(&stop), select.subscriber(&prices));
        let (mut heard, mut lost) = (Vec::new(), 0);
        loop {
            let chosen = select.wait_timeout(LONG).expect("something comes");
            if chosen.index() == stopped {
                chosen.recv(&stop).expect("sent");
                select.remove(stopped);
                continue;
            }
            assert_eq!(chosen.index(), price);
            match prices.try_recv() {
                Ok(price) => heard.push(price),
                Err(broadcast::RecvError::Lagged(count)) => lost += count,
                Err(error) => {
                    assert_eq!(error, broadcast::RecvError::Disconnected);
                    return (heard, lost);
                }
            }
        }
    }
    let rt = runtime(2);
    let prices = rt.broadcast_channel(4).expect("room");
    let tasks = [0; 2].map(|_| {
        let (stop, stops) = rt.channel(1).expect("room");
        let subscriber = prices.subscribe().expect("a seat");
        (rt.spawn(follows, (subscriber, stops)), stop)
    });
    for price in 0..200 {
        prices.send(price).expect("room");
    }
    for (_, stop) in &tasks {
        stop.send(()).expect("it lives");
    }
    drop(prices);
    for (task, _stop) in tasks {
        let (heard, lost) = task.join().expect("it lives");
        assert_eq!((heard, lost), ((0..200).collect(), 0));
    }
    // What was overwritten is told.
    let options = broadcast::Options::new(2).overflow(Overflow::DropOldest);
    let prices = rt.broadcast_channel_with(options).expect("room");
    let subscriber = prices.subscribe().expect("a seat");
    prices.send_all(0..5).expect("room");
    let (_stop, stops) = rt.channel(1).expect("room");
    let task = rt.spawn(follows, (subscriber, stops));
    drop(prices);
    assert_eq!(task.join().expect("it lives"), (vec![3, 4], 3));
}

#[test]
fn an_end_that_goes_is_seen_though_others_are_always_ready() {
    let rt = runtime(1);
    let channels = [(); 3].map(|()| rt.channel::<u64>(128).expect("room"));
    let [(busy, of_busy), (goes, of_goes), (_stays, of_stays)] = channels;
    let receivers = [of_busy, of_goes, of_stays];
    let mut select = Select::new();
    for receiver in &receivers {
        select.recv(receiver);
    }
    busy.send_all(0..128).expect("room");
    let first = select.wait().expect("sent");
    assert_eq!(first.recv(&receivers[0]), Ok(0));
    drop(goes);
    let mut seen = None;
    for wait in 0..100 {
        let chosen = select.wait().expect("sent");
        let index = chosen.index();
        match chosen.recv(&receivers[index]) {
            Ok(_) => assert_eq!(index, 0),
            Err(error) => {
                assert_eq!((index, error), (1, RecvError::Disconnected));
                seen = Some(wait);
                break;
            }
        }
    }
    assert!(seen.is_some(), "it has its turn");
}

/// One message at a time, into any of many channels, while who selects looks, and while it sleeps.
#[test]
fn each_of_many_channels_is_heard() {
    fn echo((receivers, back): (Vec<Receiver<u64>>, Sender<u64>)) {
        let mut select = Select::new();
        for receiver in &receivers {
            select.recv(receiver);
        }
        loop {
            let chosen = select.wait().expect("something comes");
            let index = chosen.index();
            match chosen.recv(&receivers[index]) {
                Ok(number) => back.send(number).expect("the host waits"),
                Err(_) => return,
            }
        }
    }
    let rt = runtime(1);
    let channels = (0..100).map(|_| rt.channel::<u64>(2).expect("room"));
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let (to_host, echoed) = rt.channel(2).expect("room");
    let task = rt.spawn(echo, (receivers, to_host));
    let mut at = 1_u64;
    for number in 0..3000 {
        at = at.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        if number % 200 == 0 {
            std::thread::sleep(Duration::from_millis(3)); // then it sleeps
        }
        senders[(at >> 33) as usize % 100]
            .send(number)
            .expect("room");
        assert_eq!(echoed.recv_timeout(LONG), Ok(number));
    }
    drop(senders);
    task.join().expect("it lives");
}
