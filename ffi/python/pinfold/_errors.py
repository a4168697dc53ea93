"""What can go wrong, as exceptions: a class for each status that a program may want to tell apart."""

from __future__ import annotations

import concurrent.futures
from typing import Dict, Type


class Error(Exception):
    """A call did not do what it says. ``status`` is its number in ``pinfold.h``."""

    status = 0

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        if status:
            self.status = status


class InvalidArgument(Error, ValueError):
    """An argument makes no sense there."""


class StartFailed(Error):
    """The runtime could not be started; the message says why."""


class UnknownFunction(Error, LookupError):
    """The plugin has no function of that name; the message has those that there are."""


class NoMemory(Error, MemoryError):
    """No shared memory is left for it now."""


class TooLarge(Error):
    """It would not fit into all the memory there is, or into a limit."""


class Full(Error):
    """As many tasks are in flight as may be, or a channel is full."""


class Shutdown(Error):
    """The runtime was closed."""


class Forked(Error):
    """This process was forked off the one whose runtime it is."""


class TimedOut(Error, TimeoutError):
    """The time was up before it happened."""


class Disconnected(Error, EOFError):
    """Nobody is left at the other end of the channel, or it was closed."""


class Empty(Error):
    """There is no message in the channel now."""


class Lagged(Error):
    """A subscriber has lost ``count`` messages, which were overwritten before it has read them."""

    count = 0


class Busy(Error):
    """Somebody has the lock, or all permits, or is in a call with it."""


class Deadlock(Error):
    """This thread has the lock already, and would wait for itself."""


class NotHeld(Error):
    """This thread does not have the lock."""


class MemberGone(Error):
    """A member that the others need has died, or has left: the one of this ``rank``, if it is known."""

    rank = None


class Mismatch(Error):
    """The members of a group have not called the same, or one has brought no value."""

    rank = None


class Shrinking(Error):
    """A member wants its group to shrink: call that, too."""

    rank = None


class Unfinished(Error):
    """A call before has timed out, and has not ended: call it again."""


class TaskError(Error):
    """A task has ended without a result."""


class TaskFailed(TaskError):
    """The task's function returned ``code``, which is not 0."""

    def __init__(self, message: str, status: int = 100, code: int = 0):
        super().__init__(message, status)
        self.code = code


class WorkerDied(TaskError):
    """The worker process died while it ran the task: a crash, ``exit``, a kill."""


class Poison(WorkerDied):
    """The worker process died in each attempt to run the task."""


class DeadlineExceeded(TaskError, TimeoutError):
    """The task had no more time."""


class Cancelled(TaskError, concurrent.futures.CancelledError):
    """The task was cancelled."""


class DependencyFailed(TaskError):
    """A task that it depends on has no result."""


class NoWorkers(TaskError):
    """No worker process could be started."""


class NotTransferable(TaskError):
    """Its argument or its result could not travel."""


_BY_STATUS: Dict[int, Type[Error]] = {
    1: InvalidArgument,
    5: InvalidArgument,
    6: TimedOut,
    11: StartFailed,
    12: UnknownFunction,
    13: InvalidArgument,
    14: Full,
    15: NoMemory,
    16: TooLarge,
    17: Shutdown,
    18: Forked,
    28: Disconnected,
    27: Empty,
    29: Empty,
    31: Lagged,
    32: Busy,
    33: Deadlock,
    34: NotHeld,
    35: MemberGone,
    36: Mismatch,
    37: Shrinking,
    38: Unfinished,
    100: TaskFailed,
    101: TaskError,
    102: WorkerDied,
    103: Poison,
    104: DeadlineExceeded,
    105: Cancelled,
    106: DependencyFailed,
    107: NoWorkers,
    108: NotTransferable,
}


def error_of(status: int, message: str) -> Error:
    """The exception of a status; one that is not known is an :class:`Error`, or :class:`TaskError` from 100 on."""
    known = _BY_STATUS.get(status, TaskError if status >= 100 else Error)
    return known(message, status)
