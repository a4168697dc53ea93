"""Tasks in worker processes, by shared memory.

    import pinfold

    with pinfold.Runtime("./plugin.so", workers=2) as rt:
        print(bytes(rt.submit("echo", b"hello").result()))
"""

from ._buffer import Buffer
from ._channel import Message, Receiver, Sender
from ._errors import (
    Cancelled,
    DeadlineExceeded,
    DependencyFailed,
    Disconnected,
    Empty,
    Error,
    Forked,
    Full,
    InvalidArgument,
    NoMemory,
    NotTransferable,
    NoWorkers,
    Poison,
    Shutdown,
    StartFailed,
    TaskError,
    TaskFailed,
    TimedOut,
    TooLarge,
    UnknownFunction,
    WorkerDied,
)
from ._handle import Handle
from ._runtime import Runtime, Task

__all__ = [
    "Buffer", "Cancelled", "DeadlineExceeded", "DependencyFailed", "Disconnected", "Empty", "Error", "Forked",
    "Full", "Handle", "InvalidArgument", "Message", "NoMemory", "NoWorkers", "NotTransferable", "Poison",
    "Receiver", "Runtime", "Sender", "Shutdown", "StartFailed", "Task", "TaskError", "TaskFailed", "TimedOut",
    "TooLarge", "UnknownFunction", "WorkerDied",
]  # fmt: skip
