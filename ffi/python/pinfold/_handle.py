"""A task that was submitted, as a future.

What makes a future of the standard library dear is its condition. So it is made when somebody
wants to be told (``wait``, ``as_completed``, a callback, asyncio); who asks for the result waits in
the library instead, and nobody else is told.

    submitted --result(), done(): by who asks----------------------> finished
        \\--_condition is made: watched, by the runtime's thread--/
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import threading
import time
from typing import Any, Callable, Optional

from . import _library
from ._errors import Cancelled, Error, TaskFailed, error_of
from ._library import BAD_HANDLE, BUFFER_TOO_SMALL, OK, SLICE, TIMED_OUT, quick, waiting

_PENDING = "PENDING"
_FINISHED = "FINISHED"
_CANCELLED = "CANCELLED_AND_NOTIFIED"

#: Up to so many bytes a result is copied: that is cheaper than to watch over its memory.
_COPIED = 4096

_look = quick.pinfold_handle_wait
_join_many = waiting.pinfold_handle_join_many
_free = quick.pinfold_handle_free


class Slot(threading.local):
    """Places of a thread for what calls return, and their addresses."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        self.handle_at = ctypes.addressof(self.handle)
        self.length = ctypes.c_size_t()
        self.length_at = ctypes.addressof(self.length)
        self.status = ctypes.c_int32()
        self.status_at = ctypes.addressof(self.status)
        self.buffer = ctypes.create_string_buffer(_COPIED)
        #: For a join: of one handle, and into what.
        self.join = (
            self.handle,
            self.handle_at,
            self.buffer,
            ctypes.addressof(self.buffer),
            self.length,
            self.length_at,
            self.status,
            self.status_at,
        )


slot = Slot()
_settle = threading.Lock()


def after_fork() -> None:
    """The child has none of the threads that may have held it."""
    global _settle
    _settle = threading.Lock()


class Owned:
    """Memory of the library's that is looked at: freed when nobody does any more."""

    __slots__ = ("_number", "_free")

    def __init__(self, number: int, free: Callable[[int], int]):
        self._number = number
        self._free = free

    def __del__(self) -> None:
        self._free(self._number)


def view(address: int, length: int, owner: Any) -> memoryview:
    """Memory at an address, which ``owner`` keeps. Each view and array of it keeps the owner."""
    array = (ctypes.c_ubyte * length).from_address(address)
    array._owner = owner
    return memoryview(array).cast("B")


def why(number: int) -> Error:
    """Why a task that has ended has no result. Its handle is freed."""
    data, length, code = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int32()
    status = quick.pinfold_handle_result(number, ctypes.byref(data), ctypes.byref(length))
    message = _library.last_message()
    error = error_of(status, message)
    if isinstance(error, TaskFailed) and quick.pinfold_handle_code(number, ctypes.byref(code)) == OK:
        error.code = code.value
    _free(number)
    return error


def in_place(number: int) -> memoryview:
    """The result of a task that has ended, where it lies."""
    data, length = ctypes.c_void_p(), ctypes.c_size_t()
    _library.check(quick.pinfold_handle_result(number, ctypes.byref(data), ctypes.byref(length)))
    return view(data.value, length.value, Owned(number, _free)).toreadonly()


class Handle(concurrent.futures.Future):
    """A task that was submitted: a future, whose result is a read-only ``memoryview``.

    It works with ``concurrent.futures.wait`` and ``as_completed``, and ``asyncio.wrap_future``. A task
    that nobody asks for runs all the same.
    """

    # Of those that were not asked for.
    _state = _PENDING
    _number: Optional[int] = None
    _result: Optional[memoryview] = None
    _exception: Optional[BaseException] = None

    def __init__(self, number: int, runtime: Any):
        # Not that of the base class: see the head of this file.
        self._number = number
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        if name not in ("_condition", "_waiters", "_done_callbacks"):
            raise AttributeError(f"a Handle has no {name!r}")
        is_new = False
        with _settle:
            if "_condition" not in self.__dict__:
                self._waiters: list = []
                self._done_callbacks: list = []
                self._condition = threading.Condition()
                is_new = self._state is _PENDING
        if is_new:
            self._runtime._watch(self)
        return self.__dict__[name]

    def __del__(self) -> None:
        number = self._number
        if number is not None:
            _free(number)

    def __repr__(self) -> str:
        return f"<pinfold.Handle at {id(self):#x} {'done' if self.done() else 'in flight'}>"

    def _finish(self, result: Optional[memoryview], exception: Optional[BaseException]) -> None:
        state = _CANCELLED if isinstance(exception, Cancelled) else _FINISHED
        with _settle:
            self._result = result
            self._exception = exception
            condition = self.__dict__.get("_condition")
            if condition is None:
                self._state = state
                return
        with condition:
            self._state = state
            for waiter in self._waiters:
                if state is _CANCELLED:
                    waiter.add_cancelled(self)
                elif exception is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            condition.notify_all()
        self._invoke_callbacks()

    def _take(self, number: int, timeout: int) -> int:
        """Waits so many ns, and has the result here if the task has ended. The status of the join."""
        handle, handle_at, buffer, buffer_at, length, length_at, status, status_at = slot.join
        handle.value = number
        joined = _join_many(handle_at, 1, timeout, buffer_at, _COPIED, length_at, status_at)
        if joined == OK and status.value == OK:
            self._number = None
            result = memoryview(buffer[: length.value])
            # What `_finish` does, if nobody is to be told: most are so.
            with _settle:
                if "_condition" not in self.__dict__:
                    self._result = result
                    self._state = _FINISHED
                    return OK
            self._finish(result, None)
        elif joined == OK or joined == BUFFER_TOO_SMALL:
            # It stays, and is this thread's to free.
            if self._own():
                if joined == OK:
                    self._finish(None, why(number))
                else:
                    self._finish(in_place(number), None)
        elif joined == BAD_HANDLE:
            # Another thread was quicker, and has its result in a moment.
            time.sleep(0.0001)
        elif joined != TIMED_OUT:
            error = _library.failure(joined)
            if self._own():
                self._finish(None, error)
        return joined

    def _own(self) -> bool:
        """Whether this thread is the one that goes on with it."""
        with _settle:
            is_mine = self._number is not None
            self._number = None
            return is_mine

    def _await(self, timeout: Optional[float]) -> None:
        """Waits until the task has ended; raises if that takes too long."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._state is _PENDING:
            left = SLICE
            if until is not None:
                left = max(0, min(left, int((until - time.monotonic()) * 1e9)))
            number = self._number
            if number is None:
                # Another thread has its result in a moment.
                time.sleep(0.0001)
            elif self._take(number, left) == TIMED_OUT:
                if until is not None and time.monotonic() >= until:
                    raise concurrent.futures.TimeoutError()

    def result(self, timeout: Optional[float] = None) -> memoryview:
        """What the task has made; raises what it has come to else (a :class:`TaskError`).

        A long result is not copied: the view keeps its shared memory, and may be made an array by
        ``numpy.frombuffer``. After ``timeout`` seconds it raises ``concurrent.futures.TimeoutError``.
        """
        if self._state is _PENDING:
            number = self._number
            if timeout is None and number is not None:
                self._take(number, SLICE)
            if self._state is _PENDING:
                self._await(timeout)
        if self._exception is None:
            return self._result  # type: ignore[return-value]
        try:
            raise self._exception
        finally:
            self = None  # type: ignore[assignment]  # no cycle by the traceback

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """What :meth:`result` would raise, or ``None``."""
        if self._state is _PENDING:
            self._await(timeout)
        return self._exception

    def done(self) -> bool:
        """Whether the task has ended, however it has."""
        if self._state is _PENDING:
            number = self._number
            if number is not None and _look(number, 0) == OK:
                self._take(number, 0)
        return self._state is not _PENDING

    def running(self) -> bool:
        """Whether it has not ended: which of those tasks runs is not known here."""
        return not self.done()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.done() and self._state is _CANCELLED

    def cancel(self, grace: Optional[float] = None) -> bool:
        """Cancels the task; whether it is cancelled by now. One that runs is only asked to end; if it
        still runs ``grace`` seconds later, its worker is killed and replaced."""
        number = self._number
        if number is not None and not self.done():
            if grace is None:
                quick.pinfold_handle_cancel(number)
            else:
                quick.pinfold_handle_cancel_within(number, max(0, int(grace * 1e9)))
        return self.cancelled()
