//! Log events on their way from a worker to the host: one datagram each.
//!
//! All workers of a runtime write into one socket, which the host reads. Writing never
//! waits: what does not fit is dropped, and counted by who dropped it. The host believes
//! nothing of what it reads but its length.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::sys::{Held, socket};

/// The longest event, encoded, in bytes.
const EVENT_MAX: usize = 8 * 1024;

/// A worker's log event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent<'a> {
    /// Which worker's.
    pub worker: u32,
    /// From 1, an error, to 5, a trace.
    pub level: u8,
    /// The task that it belongs to, if any.
    pub task: &'a str,
    /// Where in the program it comes from.
    pub target: &'a str,
    /// What it says.
    pub message: &'a str,
    /// Its other fields, `name=value` each.
    pub fields: &'a str,
    /// The spans around it, the outermost first.
    pub spans: &'a str,
}

/// The number that stands for a level; 0 is off.
pub fn number_of(level: LevelFilter) -> u8 {
    level.into_level().map_or(0, |level| match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    })
}

/// The level of that number, if there is one.
pub fn level_of(number: u8) -> Option<Level> {
    match number {
        1 => Some(Level::ERROR),
        2 => Some(Level::WARN),
        3 => Some(Level::INFO),
        4 => Some(Level::DEBUG),
        5 => Some(Level::TRACE),
        _ => None,
    }
}

/// The end into which workers write.
#[derive(Clone, Debug)]
pub struct LogWriter {
    socket: Arc<Held>,
    level: Level,
}

/// The end from which the host reads.
#[derive(Debug)]
pub struct LogReader {
    socket: Held,
    buffer: Vec<u8>,
}

/// Both ends, for events up to `level`.
pub fn log_channel(level: Level) -> std::io::Result<(LogReader, LogWriter)> {
    let (ours, theirs) = socket::datagrams()?;
    let reader = LogReader {
        socket: Held::new(ours),
        buffer: vec![0; EVENT_MAX],
    };
    Ok((reader, LogWriter::new(theirs, level)))
}

impl LogWriter {
    pub(super) fn new(socket: OwnedFd, level: Level) -> Self {
        LogWriter {
            socket: Arc::new(Held::new(socket)),
            level,
        }
    }

    /// The most detailed level that anybody wants.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether its socket was not closed by the program.
    pub fn is_ours(&self) -> bool {
        self.socket.is_ours()
    }

    /// Sends an event if there is room; false if it was dropped.
    pub fn send(&self, event: &LogEvent<'_>) -> bool {
        let mut buffer = [0; EVENT_MAX];
        postcard::to_slice(event, &mut buffer).is_ok_and(|bytes| {
            self.socket
                .get()
                .is_ok_and(|fd| socket::send_now(fd, bytes).is_ok())
        })
    }
}

impl AsFd for LogWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// An event.
    Event(LogEvent<'a>, Level),
    /// No event: somebody has gone wild.
    Invalid,
    /// There is nothing more now.
    Nothing,
}

impl LogReader {
    /// The next event of a fold of `workers` workers, if there is one; never waits.
    pub fn next(&mut self, workers: u32) -> Read<'_> {
        let socket = self.socket.get();
        let received = socket.and_then(|fd| socket::receive_now(fd, &mut self.buffer));
        let Ok(len) = received else {
            return Read::Nothing;
        };
        let event = self
            .buffer
            .get(..len)
            .and_then(|bytes| postcard::from_bytes::<LogEvent<'_>>(bytes).ok())
            .filter(|event| event.worker < workers);
        match event.and_then(|event| Some((event, level_of(event.level)?))) {
            Some((event, level)) => Read::Event(event, level),
            None => Read::Invalid,
        }
    }
}

impl LogReader {
    /// Whether its socket was not closed by the program.
    pub fn is_ours(&self) -> bool {
        self.socket.is_ours()
    }
}

impl AsRef<Held> for LogReader {
    fn as_ref(&self) -> &Held {
        &self.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_and_nonsense_is_refused() {
        let (mut reader, writer) = log_channel(Level::INFO).expect("sockets");
        let event = LogEvent {
            worker: 1,
            level: 2,
            task: "resize",
            target: "app::images",
            message: "too large",
            fields: "width=7",
            spans: "task{name=resize}",
        };
        assert!(writer.send(&event));
        assert_eq!(reader.next(2), Read::Event(event, Level::WARN));
        assert_eq!(reader.next(2), Read::Nothing);
        let worker_two = LogEvent { worker: 2, ..event };
        let level_six = LogEvent { level: 6, ..event };
        for wrong in [worker_two, level_six] {
            assert!(writer.send(&wrong));
            assert_eq!(reader.next(2), Read::Invalid);
        }
        let long = vec![b'x'; 3 * EVENT_MAX];
        for wrong in [&b""[..], b"\xff", b"\x01\x02\x7fabc", &long] {
            socket::send_now(writer.as_fd(), wrong).expect("sent");
            assert_eq!(reader.next(2), Read::Invalid, "{} bytes", wrong.len());
        }
        assert_eq!(reader.next(2), Read::Nothing);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_dropped_without_waiting() {
        let (mut reader, writer) = log_channel(Level::INFO).expect("sockets");
        let text = "x".repeat(EVENT_MAX);
        let event = LogEvent {
            level: 1,
            message: &text,
            ..LogEvent::default()
        };
        assert!(!writer.send(&event));
        let event = LogEvent {
            message: &text[..1000],
            ..event
        };
        let sent = (0..100_000).take_while(|_| writer.send(&event)).count();
        assert!((10..100_000).contains(&sent), "{sent} fit");
        let read = (0..)
            .take_while(|_| reader.next(1) != Read::Nothing)
            .count();
        assert_eq!(read, sent);
        assert!(writer.send(&event), "there is room again");
    }

    #[test]
    fn levels_round_trip() {
        assert_eq!(number_of(LevelFilter::OFF), 0);
        for number in 1..=5 {
            let level = level_of(number).expect("a level");
            assert_eq!(number_of(LevelFilter::from_level(level)), number);
        }
        assert_eq!((level_of(0), level_of(6)), (None, None));
    }
}
