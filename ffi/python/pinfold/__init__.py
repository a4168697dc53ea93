"""Tasks in worker processes, by shared memory.

    import pinfold

    with pinfold.Runtime("./plugin.so", workers=2) as rt:
        print(bytes(rt.submit("echo", b"hello").result()))
"""

from ._buffer import Buffer
from ._channel import Message, Receiver, Sender
from ._errors import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    Deadlock,
    DependencyFailed,
    Disconnected,
    Empty,
    Error,
    Forked,
    Full,
    InvalidArgument,
    Lagged,
    MemberGone,
    Mismatch,
    NoMemory,
    NotHeld,
    NotTransferable,
    NoWorkers,
    Poison,
    Shrinking,
    Shutdown,
    StartFailed,
    TaskError,
    TaskFailed,
    TimedOut,
    TooLarge,
    Unfinished,
    UnknownFunction,
    WorkerDied,
)
from ._handle import Handle
from ._runtime import Runtime, Task
from ._shared import (
    Barrier,
    Countdown,
    Latch,
    Member,
    Mutex,
    OnceLock,
    Publisher,
    Router,
    RwLock,
    Semaphore,
    Subscriber,
    Ticker,
    WaitGroup,
    WaitGroupMember,
    select,
)

__all__ = [
    "Barrier", "Buffer", "Busy", "Cancelled", "Countdown", "DeadlineExceeded", "Deadlock", "DependencyFailed",
    "Disconnected", "Empty", "Error", "Forked", "Full", "Handle", "InvalidArgument", "Lagged", "Latch", "Member",
    "MemberGone", "Message", "Mismatch", "Mutex", "NoMemory", "NoWorkers", "NotHeld", "NotTransferable", "OnceLock", "Poison",
    "Publisher", "Receiver", "Router", "Runtime", "RwLock", "Semaphore", "Sender", "Shrinking", "Shutdown",
    "StartFailed", "Subscriber", "Task", "TaskError", "TaskFailed", "Ticker", "TimedOut", "TooLarge", "Unfinished",
    "UnknownFunction", "WaitGroup", "WaitGroupMember", "WorkerDied", "select",
]  # fmt: skip
