//! Shared objects that are in use while somebody scribbles: every wait for them ends, with what
//! somebody has sent, or an error.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pinfold::broadcast::{Publisher, RecvError, Subscriber};
use pinfold::channel::{Delivery, Options, Receiver, Select, Sender};
use pinfold::collective::Member;
use pinfold::sync::{Mutex, RwLock};
use pinfold::{Handle, Runtime, Shutdown};

use crate::wild::{MARK, Rng};

/// So many of everything.
const COUNT: u64 = 300;

type Numbers = [u64; 4];

fn numbers(n: u64) -> Numbers {
    [MARK | (n % 256); 4]
}

/// How many were sent before somebody said that it is over.
fn sends(to: Sender<Numbers>) -> u64 {
    (0..COUNT)
        .take_while(|n| to.send(numbers(*n)).is_ok())
        .count() as u64
}

fn takes(from: Receiver<Numbers>) -> u64 {
    from.iter().count() as u64
}

fn deals(from: Receiver<Delivery<Numbers>>) -> u64 {
    let mut count = 0;
    // Half of them come again, if their number is believed.
    while let Ok(delivery) = from.recv() {
        if delivery.attempt() > 1 || delivery[0] % 2 == 0 {
            let _ = delivery.ack();
            count += 1;
        }
    }
    count
}

fn publishes(to: Publisher<Numbers>) -> u64 {
    (0..COUNT)
        .take_while(|n| to.send(numbers(*n)).is_ok())
        .count() as u64
}

fn reads(from: Subscriber<Numbers>) -> u64 {
    let mut count = 0;
    loop {
        match from.recv() {
            Ok(_) => count += 1,
            Err(RecvError::Lagged(_) | RecvError::Decode { .. }) => {}
            Err(_) => return count,
        }
    }
}

fn meets(mut member: Member) -> u64 {
    (0..COUNT)
        .take_while(|n| member.all_gather(numbers(*n)).is_ok())
        .count() as u64
}

type Locks = (Mutex<Numbers>, RwLock<Numbers>);

fn locks((mutex, table): Locks) -> u64 {
    let mut count = 0;
    for n in 0..COUNT {
        let Ok(mut mine) = mutex.lock().or_else(|error| error.mend(|_| ())) else {
            return count;
        };
        mine[(n % 4) as usize] = MARK | (n % 256);
        drop(mine);
        if n % 3 == 0 {
            match table.write().or_else(|error| error.mend(|_| ())) {
                Ok(mut table) => table[0] = MARK | (n % 256),
                Err(_) => return count,
            }
        } else if table.read().is_err_and(|error| error.fault().is_some()) {
            return count;
        }
        count += 1;
    }
    count
}

fn selects((one, other): (Receiver<Numbers>, Receiver<Numbers>)) -> u64 {
    let mut count = 0;
    let ends = [one, other];
    let mut select = Select::new();
    for end in &ends {
        select.recv(end);
    }
    loop {
        let Ok(chosen) = select.wait() else {
            return count;
        };
        let index = chosen.index();
        let received = chosen.recv(&ends[index]).is_ok();
        match received {
            true => count += 1,
            false => select.remove(index),
        }
    }
}

/// Who uses them: in the host, and in tasks.
#[derive(Default)]
pub struct Objects {
    here: Vec<(&'static str, JoinHandle<u64>)>,
    there: Vec<(&'static str, Handle<u64>)>,
}

/// The two ends of one object, here and there.
pub fn use_all(rt: &Runtime, rng: &mut Rng) -> Objects {
    let mut all = Objects::default();
    let capacities = [0, 1, 8, 64];
    let mut here = |name, body: Box<dyn FnOnce() -> u64 + Send>| {
        all.here.push((name, std::thread::spawn(body)));
    };
    let capacity = capacities[rng.below(4) as usize];
    match rng.below(7) {
        0 => {
            if let Ok((to, from)) = rt.channel(capacity) {
                here("takes", Box::new(move || takes(from)));
                all.there.push(("sends", rt.spawn(sends, to)));
            }
        }
        1 => {
            if let Ok((to, from)) = rt.channel(capacity) {
                here("sends", Box::new(move || sends(to)));
                all.there.push(("takes", rt.spawn(takes, from)));
            }
        }
        2 => {
            if let Ok(to) = rt.broadcast_channel(1 + capacity)
                && let (Ok(one), Ok(other)) = (to.subscribe(), to.subscribe())
            {
                here("reads", Box::new(move || reads(one)));
                if rng.below(2) == 0 {
                    here("publishes", Box::new(move || publishes(to)));
                    all.there.push(("reads", rt.spawn(reads, other)));
                } else {
                    drop(other);
                    all.there.push(("publishes", rt.spawn(publishes, to)));
                }
            }
        }
        3 => {
            if let Ok(mut members) = rt.collective(2)
                && let (Some(one), Some(other)) = (members.pop(), members.pop())
            {
                here("meets", Box::new(move || meets(one)));
                all.there.push(("meets", rt.spawn(meets, other)));
            }
        }
        4 => {
            let options = Options::new(1 + capacity).bytes(10_000);
            if let Ok((to, from)) = rt.acked_channel(options) {
                here("sends", Box::new(move || sends(to)));
                let other = from.clone();
                here("deals", Box::new(move || deals(other)));
                all.there.push(("deals", rt.spawn(deals, from)));
            }
        }
        5 => {
            let (mutex, table) = (Mutex::new(rt, numbers(0)), RwLock::new(rt, numbers(0)));
            if let (Ok(mutex), Ok(table)) = (mutex, table) {
                let both = (mutex.clone(), table.clone());
                here("locks", Box::new(move || locks(both)));
                all.there.push(("locks", rt.spawn(locks, (mutex, table))));
            }
        }
        _ => {
            if let (Ok((a, one)), Ok((b, other))) = (rt.channel(capacity), rt.channel(capacity)) {
                here("selects", Box::new(move || selects((one, other))));
                here("sends", Box::new(move || sends(a)));
                all.there.push(("sends", rt.spawn(sends, b)));
            }
        }
    }
    all
}

/// So long they are waited for before the runtime is ended: who sleeps at a gate that was written over
/// looks again by itself after 5 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long in all, with what the end of the runtime takes.
const GIVE_UP: Duration = Duration::from_secs(50);

impl Objects {
    /// Everybody comes to an end: by themselves, or, if what was written over is what a correct process
    /// could have written (a lock that seems to be held, a member that seems to be on its way), with the
    /// runtime. Whether it was needed to end that.
    pub fn end(
        self,
        rt: &Runtime,
        count: &mut impl FnMut(&'static str, u64),
    ) -> Result<bool, String> {
        let begin = Instant::now();
        let is_over = |until: Duration| begin.elapsed() > until;
        let all_ended = || {
            self.here.iter().all(|(_, thread)| thread.is_finished())
                && self.there.iter().all(|(_, handle)| handle.is_finished())
        };
        while !all_ended() && !is_over(PATIENCE) {
            std::thread::sleep(Duration::from_micros(200));
        }
        let is_stuck = !all_ended();
        if is_stuck {
            count("waits for what looks right", 1);
            rt.begin_shutdown(Shutdown::Abort);
        }
        for (name, thread) in self.here {
            while !thread.is_finished() {
                if is_over(GIVE_UP) {
                    return Err(format!("{name}: a thread of the host waits for ever"));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            let ended = thread.join().map_err(|_| format!("{name}: panics"))?;
            count(name, ended);
        }
        for (name, mut handle) in self.there {
            match handle.join_timeout(GIVE_UP) {
                None => return Err(format!("{name}: a task waits for ever")),
                Some(Ok(ended)) => count(name, ended),
                Some(Err(_)) => count("users lost", 1),
            }
        }
        Ok(is_stuck)
    }
}
