//! How shared objects get to tasks, and into messages.

use std::ffi::c_void;

use pinfold::broadcast::{Publisher, Subscriber};
use pinfold::channel::Router;
use pinfold::sync::{
    Barrier, CountDown, Latch, Member as GroupMember, Mutex, Once, OnceLock, RwLock, Semaphore,
    Ticker, WaitGroup,
};
use pinfold::{collective, sync};
use serde::{Deserialize, Serialize};

use crate::cargo::Packet;
use crate::channel::Home;
use crate::error::Failure;
use crate::objects::Kind;
use crate::{PinfoldStatus, table};

use super::barrier::Own;
use super::member::MemberObject;
use super::mutex::MutexObject;
use super::place::Homed;
use super::router::RouterObject;
use super::rwlock::RwLockObject;
use super::semaphore::SemaphoreObject;

/// An object on its way to a task, or in a message.
#[derive(Serialize, Deserialize)]
pub(crate) enum Thing {
    Mutex(Mutex<[u8]>),
    RwLock(RwLock<[u8]>),
    Semaphore(Semaphore),
    Once(Once),
    Latch(Latch),
    CountDown(CountDown),
    WaitGroup(WaitGroup),
    GroupMember(sync::Member),
    Ticker(Ticker),
    Publisher(Publisher<Packet>),
    Router(Router<Packet>),
    /// These have one owner.
    Subscriber(Subscriber<Packet>),
    Barrier(Box<Barrier>),
    Member(Box<collective::Member>),
    OnceLock(OnceLock<[u8]>),
}

fn foreign() -> Failure {
    let message = "this object is of another runtime";
    Failure::new(PinfoldStatus::ForeignHandle, message)
}

fn no_thing(handle: usize) -> Failure {
    match handle {
        0 => Failure::null("settings->objects"),
        handle => Failure::no_handle("object that others can get", handle),
    }
}

/// Whether both are of one runtime.
fn same(own: &Home, home: u64) -> Result<(), Failure> {
    match own.number == home {
        true => Ok(()),
        false => Err(foreign()),
    }
}

impl Thing {
    /// What others of `home` get of an object: the same once more, or, if it has one owner, all of it.
    fn of(handle: usize, home: u64) -> Result<Self, Failure> {
        macro_rules! try_kinds {
            ($($Held:ty, $object:ident => $thing:expr;)+) => {
                $(if table::kind(handle) == <$Held as Kind>::KIND {
                    let $object = table::enter::<$Held>(handle)?;
                    same(&$object.home, home)?;
                    return Ok($thing);
                })+
            };
        }
        try_kinds! {
            Box<MutexObject>, object => Thing::Mutex(object.mutex.clone());
            Box<RwLockObject>, object => Thing::RwLock(object.lock.clone());
            Box<SemaphoreObject>, object => Thing::Semaphore(object.semaphore.clone());
            Homed<Once>, object => Thing::Once(object.it.clone());
            Homed<OnceLock<[u8]>>, object => Thing::OnceLock(object.it.clone());
            Homed<Latch>, object => Thing::Latch(object.it.clone());
            Homed<CountDown>, object => Thing::CountDown(object.it.clone());
            Homed<WaitGroup>, object => Thing::WaitGroup(object.it.clone());
            Homed<GroupMember>, object => Thing::GroupMember(object.it.clone());
            Homed<Ticker>, object => Thing::Ticker(object.it.clone());
            Homed<Publisher<Packet>>, object => Thing::Publisher(object.it.clone());
            Box<RouterObject>, object => Thing::Router(object.get());
            Box<Own<Subscriber<Packet>>>, object => Thing::Subscriber(object.take()?);
            Box<Own<Barrier>>, object => Thing::Barrier(Box::new(object.take()?));
            Box<MemberObject>, object => Thing::Member(Box::new(object.take()?.into_inner()));
        }
        Err(no_thing(handle))
    }

    pub(crate) fn has_one_owner(&self) -> bool {
        matches!(
            self,
            Thing::Subscriber(_) | Thing::Barrier(_) | Thing::Member(_)
        )
    }

    /// The same once more of a handle that C was given; refused if it has one owner.
    pub(super) fn again(handle: usize, home: u64) -> Result<Self, Failure> {
        let one_owner = [
            <Box<Own<Subscriber<Packet>>> as Kind>::KIND,
            <Box<Own<Barrier>> as Kind>::KIND,
            <Box<MemberObject> as Kind>::KIND,
        ];
        match one_owner.contains(&table::kind(handle)) {
            true => Err(no_thing(handle)),
            false => Thing::of(handle, home),
        }
    }

    /// C's handle of it.
    pub(super) fn handle(self, home: Home) -> Result<usize, Failure> {
        match self {
            Thing::Mutex(it) => table::insert(MutexObject::new(it, home)),
            Thing::RwLock(it) => table::insert(RwLockObject::new(it, home)),
            Thing::Semaphore(it) => table::insert(SemaphoreObject::new(it, home)),
            Thing::Once(it) => table::insert(Homed { it, home }),
            Thing::OnceLock(it) => table::insert(Homed { it, home }),
            Thing::Latch(it) => table::insert(Homed { it, home }),
            Thing::CountDown(it) => table::insert(Homed { it, home }),
            Thing::WaitGroup(it) => table::insert(Homed { it, home }),
            Thing::GroupMember(it) => table::insert(Homed { it, home }),
            Thing::Ticker(it) => table::insert(Homed { it, home }),
            Thing::Publisher(it) => table::insert(Homed { it, home }),
            Thing::Subscriber(it) => table::insert(Own::new(it, home)),
            Thing::Router(it) => table::insert(RouterObject::new(it, home)),
            Thing::Barrier(it) => table::insert(Own::new(*it, home)),
            Thing::Member(it) => table::insert(MemberObject::new((*it).into(), home)),
        }
    }

    /// It was not sent after all: what was moved is its handle's again.
    fn put_back(self, handle: usize) {
        match self {
            Thing::Subscriber(it) => {
                if let Ok(object) = table::enter::<Box<Own<Subscriber<Packet>>>>(handle) {
                    object.put_back(it);
                }
            }
            Thing::Barrier(it) => {
                if let Ok(object) = table::enter::<Box<Own<Barrier>>>(handle) {
                    object.put_back(*it);
                }
            }
            Thing::Member(it) => {
                if let Ok(object) = table::enter::<Box<MemberObject>>(handle) {
                    object.put_back((*it).into());
                }
            }
            _ => {}
        }
    }
}

/// What others of runtime `home` get of these objects; or nothing was done.
pub(crate) fn give(handles: &[*const c_void], home: u64) -> Result<Vec<Thing>, Failure> {
    let mut given = Vec::with_capacity(handles.len());
    for handle in handles {
        match Thing::of(handle.addr(), home) {
            Ok(thing) => given.push(thing),
            Err(failure) => {
                take_back(handles, given);
                return Err(failure);
            }
        }
    }
    Ok(given)
}

/// Those that were moved are their handles' again.
pub(crate) fn take_back(handles: &[*const c_void], things: Vec<Thing>) {
    for (handle, thing) in handles.iter().zip(things) {
        thing.put_back(handle.addr());
    }
}
