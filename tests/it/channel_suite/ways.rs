//! Every way to send, and every way to receive.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_core::Stream;
use pinfold::channel::{Receiver, RecvError, Select, SendError, SendFault, Sender};

use super::{Item, LONG, ReceiveSide, SendSide, Told, item, number};
use crate::asynchronous::block_on;

const COUNT: u64 = 20;

pub const SENDS: [(&str, SendSide); 6] = [
    ("send", |to, _| each(|n| to.send(item(n)))),
    ("try_send", |to, _| each(|n| try_send(&to, item(n)))),
    ("send_timeout", |to, _| {
        each(|n| to.send_timeout(item(n), LONG))
    }),
    ("send_all", |to, _| {
        let sent = to.send_all((0..COUNT).map(item)).map_err(text)?;
        Ok((0..sent as u64).collect())
    }),
    ("send_async", |to, _| {
        block_on(async {
            for n in 0..COUNT {
                to.send_async(item(n)).await.map_err(text)?;
            }
            Ok((0..COUNT).collect())
        })
    }),
    ("select", |to, _| {
        let mut select = Select::new();
        select.send(&to);
        for n in 0..COUNT {
            let mut item = item(n);
            loop {
                let chosen = select.wait_timeout(LONG).map_err(|e| e.to_string())?;
                match chosen.send(&to, item) {
                    // Who waited has left.
                    Err(error) if error.fault == SendFault::Full => item = back(error)?,
                    sent => break sent.map_err(text)?,
                }
            }
        }
        Ok((0..COUNT).collect())
    }),
];

pub const RECEIVES: [(&str, ReceiveSide); 9] = [
    ("recv", |from, _| until_over(|| from.recv())),
    ("try_recv", |from, _| until_over(|| try_recv(&from))),
    ("recv_timeout", |from, _| {
        until_over(|| from.recv_timeout(LONG))
    }),
    ("recv_many", |from, _| {
        let mut all = Vec::new();
        loop {
            match from.recv_many(3) {
                Ok(some) if some.is_empty() || some.len() > 3 => {
                    return Err(format!("{} at once", some.len()));
                }
                Ok(some) => all.extend(some),
                Err(RecvError::Disconnected) => return all.into_iter().map(number).collect(),
                Err(error) => return Err(error.to_string()),
            }
        }
    }),
    ("iter", |from, _| from.iter().map(number).collect()),
    ("try_iter", |from, _| {
        let mut all = Vec::new();
        loop {
            all.extend(from.try_iter());
            // Who only tries does not meet one that only tries.
            match from.recv_timeout(Duration::from_micros(100)) {
                Ok(item) => all.push(item),
                Err(RecvError::TimedOut { .. }) => {}
                Err(RecvError::Disconnected) => return all.into_iter().map(number).collect(),
                Err(error) => return Err(error.to_string()),
            }
        }
    }),
    ("recv_async", |from, _| {
        until_over(|| block_on(from.recv_async()))
    }),
    ("stream", |from, _| {
        let mut stream = pin!(from.stream());
        let mut all = Vec::new();
        block_on(std::future::poll_fn(|context| {
            loop {
                match stream.as_mut().poll_next(context) {
                    Poll::Ready(Some(item)) => all.push(item),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        all.into_iter().map(number).collect()
    }),
    ("select", |from, _| {
        let mut select = Select::new();
        select.recv(&from);
        let next = || {
            let chosen = select.wait_timeout(LONG).expect("it comes");
            chosen.recv(&from)
        };
        until_over(next)
    }),
];

fn text(error: SendError<Item>) -> String {
    error.to_string()
}

/// What was not sent.
pub fn back(error: SendError<Item>) -> Result<Item, String> {
    let fault = error.fault.clone();
    let item = error
        .into_value()
        .ok_or(format!("{fault}, and it does not come back"))?;
    number(item.clone())?;
    Ok(item)
}

fn each(mut send: impl FnMut(u64) -> Result<(), SendError<Item>>) -> Told {
    (0..COUNT)
        .map(|n| send(n).map(|()| n).map_err(text))
        .collect()
}

fn try_send(to: &Sender<Item>, mut item: Item) -> Result<(), SendError<Item>> {
    let give_up = Instant::now() + LONG;
    loop {
        match to.try_send(item) {
            Err(error) if error.fault == SendFault::Full && Instant::now() < give_up => {
                item = back(error).expect("it comes back");
                std::thread::yield_now();
            }
            sent => return sent,
        }
    }
}

fn try_recv(from: &Receiver<Item>) -> Result<Item, RecvError> {
    let give_up = Instant::now() + LONG;
    loop {
        match from.try_recv() {
            Err(RecvError::Empty) if Instant::now() < give_up => {}
            received => return received,
        }
        match from.recv_timeout(Duration::from_micros(100)) {
            Err(RecvError::TimedOut { .. }) => {}
            received => return received,
        }
    }
}

fn until_over(mut receive: impl FnMut() -> Result<Item, RecvError>) -> Told {
    let mut all = Vec::new();
    loop {
        match receive() {
            Ok(item) => all.push(number(item)?),
            Err(RecvError::Disconnected) => return Ok(all),
            Err(error) => return Err(error.to_string()),
        }
    }
}
