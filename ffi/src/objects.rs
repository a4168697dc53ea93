//! What handles stand for.

use std::sync::Arc;

use pinfold::broadcast::{Publisher, Subscriber};
use pinfold::sync::{self, Barrier, CountDown, Latch, Once, OnceLock, Ticker, WaitGroup};
use pinfold::{ContextHandle, Limit, Memo};

use crate::buffer::BufferObject;
use crate::cargo::Packet;
use crate::channel::{ReceiverObject, SenderObject};
use crate::events::EventsObject;
use crate::group::GroupObject;
use crate::handle::TaskHandle;
use crate::message::MessageObject;
use crate::runtime::RuntimeObject;
use crate::shared::barrier::Own;
use crate::shared::member::MemberObject;
use crate::shared::mutex::MutexObject;
use crate::shared::place::Homed;
use crate::shared::router::RouterObject;
use crate::shared::rwlock::RwLockObject;
use crate::shared::semaphore::SemaphoreObject;
use crate::task::TaskObject;
use crate::told::Text;

/// One kind of object, as C knows it.
pub(crate) trait Kind: Sized + 'static {
    /// The number in its handles; not 0.
    const KIND: usize;
    /// What C calls it.
    const NAME: &'static str;
    const WAY: Way;
    const IS_BRIEF: bool = matches!(Self::WAY, Way::Brief);
    const IS_OWNED: bool = matches!(Self::WAY, Way::Owned);

    /// Whether the object is one.
    fn of(object: &Object) -> Option<&Self>;

    /// The same, of one that nobody else uses.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
}

/// How an object is entered with each task, where that is not by counting its users.
pub(crate) enum Way {
    /// It is not entered with each task.
    Counted,
    /// Briefly; then who removes it waits for those who have.
    Brief,
    /// By its maker, whose own it is at first.
    Owned,
}

macro_rules! way {
    () => {
        Way::Counted
    };
    (brief) => {
        Way::Brief
    };
    (owned) => {
        Way::Owned
    };
}

macro_rules! kinds {
    ($($(#[$when:meta])? $number:literal $Variant:ident($Held:ty) $opaque:literal $(, $way:ident)?;)+) => {
        /// What a handle stands for.
        pub(crate) enum Object {
            $($(#[$when])? $Variant($Held),)+
        }

        $(
            $(#[$when])?
            impl From<$Held> for Object {
                #[inline(always)]
                fn from(held: $Held) -> Self {
                    Object::$Variant(held)
                }
            }

            $(#[$when])?
            impl Kind for $Held {
                const KIND: usize = $number;
                const NAME: &'static str = $opaque;
                const WAY: Way = way!($($way)?);

                #[inline]
                fn of_mut(object: &mut Object) -> Option<&mut Self> {
                    match object {
                        Object::$Variant(held) => Some(held),
                        #[allow(unreachable_patterns, reason = "as long as there is one kind")]
                        _ => None,
                    }
                }

                #[inline]
                fn of(object: &Object) -> Option<&Self> {
                    match object {
                        Object::$Variant(held) => Some(held),
                        #[allow(unreachable_patterns, reason = "as long as there is one kind")]
                        _ => None,
                    }
                }
            }
        )+
    };
}

kinds! {
    1 Runtime(Arc<RuntimeObject>) "pinfold_runtime";
    2 Task(Arc<TaskObject>) "pinfold_task", brief;
    3 Handle(TaskHandle) "pinfold_handle", owned;
    4 Limit(Limit) "pinfold_limit";
    5 Text(Box<Text>) "pinfold_text";
    6 Buffer(Box<BufferObject>) "pinfold_buffer";
    7 Events(Arc<EventsObject>) "pinfold_events";
    8 Context(ContextHandle) "pinfold_context";
    9 Memo(Memo) "pinfold_memo";
    10 Group(Arc<GroupObject>) "pinfold_group";
    11 Sender(SenderObject) "pinfold_sender";
    12 Receiver(ReceiverObject) "pinfold_receiver";
    13 Message(Box<MessageObject>) "pinfold_message";
    14 Mutex(Box<MutexObject>) "pinfold_mutex";
    15 RwLock(Box<RwLockObject>) "pinfold_rwlock";
    16 Semaphore(Box<SemaphoreObject>) "pinfold_semaphore";
    17 Once(Homed<Once>) "pinfold_once";
    18 Latch(Homed<Latch>) "pinfold_latch";
    19 CountDown(Homed<CountDown>) "pinfold_countdown";
    20 WaitGroup(Homed<WaitGroup>) "pinfold_waitgroup";
    21 WaitMember(Homed<sync::Member>) "pinfold_waitgroup_member";
    22 Barrier(Box<Own<Barrier>>) "pinfold_barrier";
    23 Ticker(Homed<Ticker>) "pinfold_ticker";
    24 Publisher(Homed<Publisher<Packet>>) "pinfold_publisher";
    25 Subscriber(Box<Own<Subscriber<Packet>>>) "pinfold_subscriber";
    26 Member(Box<MemberObject>) "pinfold_member";
    27 Router(Box<RouterObject>) "pinfold_router";
    28 OnceLock(Homed<OnceLock<[u8]>>) "pinfold_oncelock";
    #[cfg(test)] 29 Mine(crate::table::tests::Mine) "mine", owned;
    #[cfg(test)] 30 Watched(crate::table::tests::Watched) "watched", brief;
    #[cfg(test)] 31 Probe(u64) "probe";
}
