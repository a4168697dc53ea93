"""A task that was submitted, as a future.

What makes a future of the standard library dear is its condition. So it is made when somebody
wants to be told (``wait``, ``as_completed``, a callback, asyncio); who asks for the result waits in
the library instead, and nobody else is told.

    submitted --result(), done(): by who asks-------------------> the result is known
        \\--_condition is asked for: watched, by the runtime's thread--> _state is told

``_state``, which is for who is told only, is set when the condition is made, and by that thread.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import threading
import time
from typing import Any, Callable, Optional

from . import _library
from ._errors import Cancelled, Error, TaskFailed, error_of
from ._library import BUFFER_TOO_SMALL, OK, SLICE, TIMED_OUT, quick
from ._row import Row

_PENDING = "PENDING"
_FINISHED = "FINISHED"
_CANCELLED = "CANCELLED_AND_NOTIFIED"

_free = quick.pinfold_handle_free
#: For what happens once to a handle. Finalizers may come back to it.
_settle = threading.RLock()


def after_fork() -> None:
    """The child has none of the threads that may have held it."""
    global _settle
    _settle = threading.RLock()


class Owned:
    """Something of the library's that is looked at: freed when nobody does any more."""

    __slots__ = ("number", "_free")

    def __init__(self, number: int, free: Callable[[int], int]):
        self.number = number
        self._free = free

    def __del__(self) -> None:
        self._free(self.number)


def view(address: int, length: int, owner: Any) -> memoryview:
    """Memory at an address, which ``owner`` keeps. Each view and array of it keeps the owner."""
    array = (ctypes.c_ubyte * length).from_address(address)
    array._owner = owner
    return memoryview(array).cast("B")


def why(number: int) -> Error:
    """Why a task that has ended has no result."""
    data, length, code = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int32()
    status = quick.pinfold_handle_result(number, ctypes.byref(data), ctypes.byref(length))
    error = error_of(status, _library.last_message())
    if isinstance(error, TaskFailed) and quick.pinfold_handle_code(number, ctypes.byref(code)) == OK:
        error.code = code.value
    return error


def in_place(owned: Owned) -> memoryview:
    """The result of a task that has ended, where it lies."""
    data, length = ctypes.c_void_p(), ctypes.c_size_t()
    _library.check(quick.pinfold_handle_result(owned.number, ctypes.byref(data), ctypes.byref(length)))
    return view(data.value or 0, length.value, owned).toreadonly()


class _Lock(type(threading.RLock())):  # type: ignore[misc]
    """What the standard library uses of a future's condition, if nobody waits for it: a lock."""

    def notify_all(self) -> None:
        """Nobody waits."""


class Handle(concurrent.futures.Future):
    """A task that was submitted: a future, whose result is a read-only ``memoryview``.

    It works with ``concurrent.futures.wait`` and ``as_completed``, and ``asyncio.wrap_future``. A task
    that nobody asks for runs all the same.
    """

    __slots__ = ("_row", "_index")  # the others of most are these
    _state = _PENDING
    _lock: Optional[_Lock] = None
    #: Its handle of the library, if that is not its row's any more.
    _owned: Optional[Owned] = None
    _result: Optional[memoryview] = None
    _exception: Optional[BaseException] = None

    def __init__(self, row: Row, index: int):
        # Not that of the base class: see the head of this file.
        self._row = row
        self._index = index

    def __del__(self) -> None:
        try:
            if self._row.results[self._index] is None:
                self._row.free(self._index)
        except AttributeError:
            pass  # it was never one

    def __repr__(self) -> str:
        return f"<pinfold.Handle at {id(self):#x} {'done' if self.done() else 'in flight'}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Handle is of this process, and cannot be copied or pickled: pass on its result")

    @property
    def _number(self) -> int:
        with _settle:
            owned = self._owned
            return self._row.handles[self._index] if owned is None else owned.number

    def _own(self) -> Owned:
        """Its handle of the library, taken from the row, which may stay for longer."""
        with _settle:
            owned = self._owned
            if owned is None:
                owned = self._owned = Owned(self._row.handles[self._index], _free)
                self._row.handles[self._index] = None
        return owned

    def _look(self, timeout: int) -> bool:
        """Waits so many ns; whether the task has ended: then what it has come to is here."""
        row, index = self._row, self._index
        if row.results[index] is not None or self._result is not None or self._exception is not None:
            return True
        status = row.fill(index, timeout)
        if status == OK:
            return True
        if status == TIMED_OUT:
            return False
        if status == BUFFER_TOO_SMALL or self._owned is not None:
            self._result = in_place(self._own())
        else:
            error = why(row.handles[index]) if status >= 100 else _library.failure(status)
            with _settle:
                if self._exception is None:
                    self._exception = error
        return True

    def _await(self, timeout: Optional[float]) -> None:
        """Waits until the task has ended; raises if that takes too long."""
        if timeout is None:
            while not self._look(SLICE):
                pass
            return
        until = time.monotonic() + timeout
        left = int(timeout * 1e9)
        while not self._look(max(0, min(left, SLICE))):
            left = int((until - time.monotonic()) * 1e9)
            if left <= 0:
                raise concurrent.futures.TimeoutError("the task has not ended yet")

    def result(self, timeout: Optional[float] = None) -> memoryview:
        """What the task has made; raises what it has come to else (a :class:`TaskError`).

        A long result is not copied: the view keeps its shared memory, and may be made an array by
        ``numpy.frombuffer``. After ``timeout`` seconds it raises ``concurrent.futures.TimeoutError``.
        """
        result = self._row.results[self._index]
        if result is not None:
            return result
        if not self._look(SLICE if timeout is None else 0):
            self._await(timeout)
        if self._exception is None:
            result = self._row.results[self._index]
            return self._result if result is None else result  # type: ignore[return-value]
        try:
            raise self._exception
        finally:
            self = None  # type: ignore[assignment]  # no cycle by the traceback

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """What :meth:`result` would raise, or ``None``."""
        self._await(timeout)
        return self._exception

    def done(self) -> bool:
        """Whether the task has ended, however it has."""
        return self._look(0)

    def running(self) -> bool:
        """Whether it has not ended: which of those tasks runs is not known here."""
        return not self._look(0)

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._look(0) and isinstance(self._exception, Cancelled)

    def cancel(self, grace: Optional[float] = None) -> bool:
        """Cancels the task; whether it is cancelled by now. One that runs is only asked to end; if it
        still runs ``grace`` seconds later, its worker is killed and replaced."""
        if not self._look(0):
            if grace is None:
                quick.pinfold_handle_cancel(self._number)
            else:
                quick.pinfold_handle_cancel_within(self._number, max(0, int(grace * 1e9)))
        return self.cancelled()

    @property
    def _condition(self) -> _Lock:
        lock = self._lock
        if lock is not None:
            return lock
        with _settle:
            if self._lock is not None:
                return self._lock
            self._waiters: list = []
            self._done_callbacks: list = []
            has_ended = self._look(0)
            if has_ended:
                self._state = self._told_state()
            lock = self._lock = _Lock()
        if not has_ended:
            try:
                self._row.runtime._watch(self)
            except BaseException:
                self._lock = None
                raise
        return lock

    def _told_state(self) -> str:
        return _CANCELLED if isinstance(self._exception, Cancelled) else _FINISHED

    def _tell(self) -> None:
        """Has all know who are to be told that the task has ended: called once."""
        self._await(None)
        with self._condition:
            self._state = self._told_state()
            for waiter in self._waiters:
                if self._state is _CANCELLED:
                    waiter.add_cancelled(self)
                elif self._exception is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
        self._invoke_callbacks()
