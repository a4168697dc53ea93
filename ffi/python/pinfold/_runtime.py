"""Runtimes, and the tasks that are submitted to them."""

from __future__ import annotations

import ctypes
import json
import os
import time
import weakref
from collections import deque
from ctypes import byref, c_char_p, c_size_t, c_void_p
from itertools import islice
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from . import _handle, _library, _shared
from ._buffer import Buffer
from ._channel import Receiver, Sender, add, add_ends, channel
from ._errors import Error, Shutdown
from ._handle import Handle, Owned, in_place, why
from ._library import (
    BUFFER_TOO_SMALL,
    FULL,
    NO_MEMORY,
    OK,
    SLICE,
    TIMED_OUT,
    Config,
    TaskSettings,
    check,
    quick,
    waiting,
)
from ._row import LENGTH, Row
from ._watcher import Watcher

Data = Union[bytes, bytearray, memoryview, Any]

_CHOICES = ("pin", "keepers", "dump_memory", "zero_memory", "end_programs", "profile", "start_checked", "retry_jitter")
_TIMES = (
    "on_free_time", "on_free_grace", "kill_grace", "heartbeat", "worker_init_timeout",
    "run_limit", "hard_deadline", "start_deadline", "soft_deadline",
    "backoff_first", "backoff_longest", "retry_delay", "retry_longest",
)  # fmt: skip
_WORDS: Dict[str, Tuple[str, ...]] = {
    "orphans": ("cancel", "finish"),
    "on_free": ("drain", "drain_for", "graceful", "abort"),
    "priority": ("background", "low", "normal", "urgent"),
    "retry": ("fixed", "linear", "exponential"),
}
#: The longest time, in seconds: centuries.
_AGES = 1 << 33
_NOT_HERE = (
    "size", "tags", "tag_count", "limits", "limit_count", "plugin", "worker_program", "state_argument_len",
)  # fmt: skip


def _fill(settings: Any, given: Dict[str, Any]) -> Any:
    """Sets fields of a struct by their names: times in seconds, choices as bool, enums as words."""
    settings.size = ctypes.sizeof(settings)
    known = {name: kind for name, kind in settings._fields_ if name not in _NOT_HERE}
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"there is no setting {name!r}; there are: {', '.join(known)}")
        if value is None:
            continue
        try:
            as_it_is = _value(name, value)
            if known[name] is c_char_p and not isinstance(as_it_is, bytes):
                raise TypeError  # a number would be taken for an address
            setattr(settings, name, as_it_is)
        except TypeError:
            what = "a number of seconds" if name in _TIMES else "a text" if known[name] is c_char_p else "a number"
            raise TypeError(f"{name} is {what}, not {value!r}") from None
        if name == "state_argument":
            settings.state_argument_len = len(value)
    return settings


def _value(name: str, value: Any) -> Any:
    """What a struct has for a setting."""
    if name in _WORDS:
        if value not in _WORDS[name]:
            raise ValueError(f"{name} is one of {_WORDS[name]}, not {value!r}")
        return 1 + _WORDS[name].index(value)
    if name in _CHOICES:
        return 1 if value else 2
    if name in _TIMES:
        if not 0 <= value <= _AGES:
            raise ValueError(f"{name} is {value!r} seconds: leave it out for its default")
        return max(1, int(value * 1e9))  # 0 would be the default
    if isinstance(value, int) and (value < 0 or name == "workers" and value == 0):
        raise ValueError(f"{name} is {value}: leave it out for its default")
    return value.encode() if isinstance(value, str) else value


class _Buffer(ctypes.Structure):
    """``Py_buffer``, whose layout is part of Python's stable interface."""

    _fields_ = [
        ("buf", c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int), ("ndim", ctypes.c_int), ("format", c_char_p), ("shape", c_void_p),
        ("strides", c_void_p), ("suboffsets", c_void_p), ("internal", c_void_p),
    ]  # fmt: skip


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_Buffer)]


def _all(name: str, some: Any, kind: type) -> List[Any]:
    """What is given as `some`, if all of it is of that kind."""
    if isinstance(some, kind):
        raise TypeError(f"`{name}` is a list: [{kind.__name__.lower()}]")
    some = list(some)
    for one in some:
        if not isinstance(one, kind):
            raise TypeError(f"`{name}` is a list of {kind.__name__}s, and there is {one!r} in it")
    return some


_live: "weakref.WeakSet[Runtime]" = weakref.WeakSet()


def _after_fork() -> None:
    _handle.after_fork()
    for runtime in list(_live):
        runtime._watcher.forget()
        runtime._watcher = Watcher()


os.register_at_fork(after_in_child=_after_fork)


def _free(number: int, process: int) -> None:
    # A child that was forked off has nothing of it to end.
    if os.getpid() == process:
        waiting.pinfold_runtime_free(number)


class Runtime:
    """A fold of worker processes that run the functions of a plugin.

    ``plugin`` is the file of a shared library that has them (``PINFOLD_PLUGIN`` in ``pinfold.h``).
    ``settings`` are the fields of ``pinfold_config`` by their names: times in seconds, choices as
    ``bool``, enums as words (``on_free="abort"``).

    Use it in a ``with`` statement, or :meth:`close` it; else it ends with the interpreter.
    """

    def __init__(
        self,
        plugin: Union[str, "os.PathLike[str]"],
        *,
        workers: Optional[int] = None,
        worker_program: Union[str, "os.PathLike[str]", None] = None,
        **settings: Any,
    ):
        config = _fill(Config(), {"workers": workers, **settings})
        config.plugin = os.fsencode(plugin)
        if worker_program is not None:
            config.worker_program = os.fsencode(worker_program)
        number = c_void_p()
        check(waiting.pinfold_runtime_new(byref(config), byref(number)))
        self._number = number.value
        self._watcher = Watcher()
        self._tasks: Dict[str, Task] = {}
        self._end = weakref.finalize(self, _free, number.value, os.getpid())
        _live.add(self)

    def close(self) -> None:
        """Ends the runtime: what is in flight has 5 s (``on_free`` says otherwise). Handles stay valid."""
        self._end()

    def __reduce__(self) -> Any:
        raise TypeError("a Runtime is of this process, and cannot be copied or pickled: another may start its own")

    def _open(self) -> int:
        """Its number, if it was not closed."""
        if not self._end.alive:
            raise Shutdown("this runtime was closed", 17)
        return self._number

    def __enter__(self) -> "Runtime":
        self._open()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def functions(self) -> List[str]:
        """The names of the plugin's functions."""
        needed = c_size_t()
        status = waiting.pinfold_runtime_functions(self._open(), None, 0, byref(needed))
        if status != BUFFER_TOO_SMALL:
            check(status)
        text = ctypes.create_string_buffer(needed.value + 1)
        check(waiting.pinfold_runtime_functions(self._open(), text, len(text), None))
        return text.value.decode().splitlines()

    def task(self, function: str, /, **settings: Any) -> "Task":
        """A function of the plugin, with settings: the fields of ``pinfold_task_settings`` by their names,
        as those of the runtime (``run_limit=1.5``, ``attempts=3``, ``priority="urgent"``)."""
        return Task(self, function, settings)

    def buffer(self, length: int) -> Buffer:
        """Shared memory of so many bytes, to be written and passed to tasks without a copy."""
        return Buffer(self._open(), length)

    def channel(self, capacity: int, *, overflow: str = "block") -> Tuple[Sender, Receiver]:
        """A channel that holds so many messages; of capacity 0, who sends waits until it is taken.
        ``overflow``: who sends into a full one waits (``"block"``), is refused (``"reject"``), or
        takes the place of the oldest (``"drop_oldest"``)."""
        return channel(self._open(), capacity, overflow)

    def mutex(self, data: bytes) -> _shared.Mutex:
        """A lock around a copy of these bytes, which who has it reads and writes in place."""
        return _shared.made("mutex", _shared.Mutex, self._open(), data, len(data))

    def rwlock(self, data: bytes) -> _shared.RwLock:
        """The same, which many may have to read, or one to write."""
        return _shared.made("rwlock", _shared.RwLock, self._open(), data, len(data))

    def semaphore(self, permits: int) -> _shared.Semaphore:
        """So many permits."""
        return _shared.made("semaphore", _shared.Semaphore, self._open(), permits)

    def oncelock(self, length: int) -> _shared.OnceLock:
        """So many bytes that are made once, by whoever asks first, and then read."""
        return _shared.made("oncelock", _shared.OnceLock, self._open(), length)

    def ticker(self, period: float) -> _shared.Ticker:
        """Ticks each so many seconds, at the same moments in all processes."""
        return _shared.made("ticker", _shared.Ticker, self._open(), int(period * 1e9))

    def latch(self, count: int) -> Tuple[_shared.Latch, _shared.Countdown]:
        """What waits for so many counts, and what counts. When nobody is left who could, the wait ends."""
        return _shared.pair("latch", (_shared.Latch, _shared.Countdown), self._open(), count)

    def waitgroup(self) -> Tuple[_shared.WaitGroup, _shared.WaitGroupMember]:
        """A group, and its first member."""
        return _shared.pair("waitgroup", (_shared.WaitGroup, _shared.WaitGroupMember), self._open())

    def barrier(self, members: int) -> List[_shared.Barrier]:
        """All members of a barrier."""
        return _shared.members("barrier", _shared.Barrier, self._open(), members)

    def collective(self, members: int) -> List[_shared.Member]:
        """All members of a group, in the order of ranks. There must be an executor for each that a task gets."""
        return _shared.members("collective", _shared.Member, self._open(), members)

    def broadcast(self, capacity: int, *, overflow: str = "block", subscribers: int = 0) -> _shared.Publisher:
        """A broadcast channel: every subscriber gets every message. For up to so many (0: 64)."""
        return _shared.broadcast(self._open(), capacity, overflow, subscribers)

    def router(self, receivers: int, capacity: int) -> Tuple[_shared.Router, List[Receiver]]:
        """A router, and its receivers, each with a queue of so many messages."""
        return _shared.router(self._open(), receivers, capacity)

    def stats(self) -> Dict[str, Any]:
        """What has happened so far, and what the workers do now."""
        return self._json("stats")

    def audit(self) -> Dict[str, Any]:
        """Whose each slot and block of the shared memory is, and what nobody owns (``orphans``: none)."""
        return self._json("audit")

    def _json(self, what: str) -> Dict[str, Any]:
        text, data, length = c_void_p(), c_void_p(), c_size_t()
        check(getattr(waiting, f"pinfold_runtime_{what}_json")(self._open(), byref(text)))
        try:
            check(quick.pinfold_text_data(text, byref(data), byref(length)))
            return json.loads(ctypes.string_at(data.value or 0, length.value))
        finally:
            quick.pinfold_text_free(text)

    def submit(self, name: str, data: Data = b"", **how: Any) -> Handle:
        """``task(name).submit(data, ...)``, with the task kept for the next time."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = self.task(name)
        return task.submit(data, **how)

    def map(self, name: str, items: Iterable[Data], *, batch: int = 256) -> Iterator[memoryview]:
        """``task(name).map(items)``."""
        return self.task(name).map(items, batch=batch)

    def _watch(self, handle: Handle) -> None:
        self._watcher.watch(handle)


_NO_ENDS = ((), (), ())
_library.declare(
    {
        "pinfold_task_broadcast": [
            c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.POINTER(c_void_p),
            ctypes.POINTER(ctypes.c_size_t),
        ],
        "pinfold_runtime_stats_json": [c_void_p, ctypes.POINTER(c_void_p)],
        "pinfold_runtime_audit_json": [c_void_p, ctypes.POINTER(c_void_p)],
        "pinfold_text_data": [c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(c_size_t)],
        "pinfold_text_free": [c_void_p],
    }
)  # fmt: skip


class Task:
    """A function of a runtime's plugin, with its settings; to be submitted any number of times."""

    def __init__(self, runtime: Runtime, name: str, settings: Dict[str, Any]):
        if not isinstance(name, str):
            raise TypeError(f"the name of a function is a str, not {name!r}")
        given = _fill(TaskSettings(), settings)
        number = c_void_p()
        check(waiting.pinfold_task_new(runtime._open(), name.encode(), byref(given), byref(number)))
        self._number = number.value
        self._runtime = runtime
        self._row = Row(runtime)
        self._end = weakref.finalize(self, quick.pinfold_task_free, number.value)

    def __reduce__(self) -> Any:
        raise TypeError("a Task is of this process, and cannot be copied or pickled: make another")

    def submit(
        self,
        data: Data = b"",
        *,
        buffers: Iterable[Buffer] = (),
        after: Iterable[Handle] = (),
        senders: Iterable[Sender] = (),
        receivers: Iterable[Receiver] = (),
        objects: Iterable[_shared.Shared] = (),
    ) -> Handle:
        """Submits the task with some bytes (anything that has them in one piece: ``bytes``, an array),
        which are copied, and with ``buffers``, which are not. Waits for room if as many tasks are in
        flight as may be.

        ``after``: it begins when those have ended, whose results are its inputs. They must be of this
        runtime. ``senders`` and ``receivers``: it gets one more of each end. ``objects``: locks, publishers and
        so on, which it gets in this order; a barrier, a member of a group or a subscriber is moved to it.
        """
        ends = (senders, receivers, objects)
        if type(data) is bytes and buffers == () and after == () and ends == _NO_ENDS:
            row = self._row
            index = row.next()
            if index >= LENGTH:
                row, index = self._new_row()
            at = row.address + 8 * index
            status = _try_submit(self._number, data, len(data), at)
            if status:
                self._submit_slowly(status, data, len(data), at)
            return Handle(row, index)
        if type(data) in (str, Buffer):
            how = "encode() it" if type(data) is str else "pass it as buffers=[buffer]"
            raise TypeError(f"the data of a task are bytes, or an array, not a {type(data).__name__}: {how}")
        buffers, after = _all("buffers", buffers, Buffer), _all("after", after, Handle)
        bytes_of = _Buffer()
        _get_buffer(data, byref(bytes_of), 0)
        try:
            return self._submit_at(bytes_of.buf, bytes_of.len, buffers, after, ends)
        finally:
            _release_buffer(byref(bytes_of))

    def broadcast(self, data: Data = b"") -> List[Handle]:
        """Submits the task once for each worker, all with the same bytes: to fill a cache there, say. Handles are in the
        order of the workers' numbers."""
        data = data if type(data) is bytes else bytes(memoryview(data))
        numbers, count = (c_void_p * 64)(), ctypes.c_size_t()
        call = waiting.pinfold_task_broadcast
        status = call(self._number, data, len(data), len(numbers), numbers, byref(count))
        if status == BUFFER_TOO_SMALL:
            numbers = (c_void_p * count.value)()
            status = call(self._number, data, len(data), len(numbers), numbers, byref(count))
        check(status)
        handles = []
        for number in numbers[: count.value]:
            row = self._row
            index = row.next()
            if index >= LENGTH:
                row, index = self._new_row()
            c_void_p.from_address(row.address + 8 * index).value = number
            handles.append(Handle(row, index))
        return handles

    def _submit_at(
        self,
        address: Optional[int],
        length: int,
        buffers: List[Buffer],
        after: List[Handle],
        ends: Tuple[Iterable[Sender], Iterable[Receiver], Iterable[_shared.Shared]],
    ) -> Handle:
        row = self._row
        index = row.next()
        if index >= LENGTH:
            row, index = self._new_row()
        at = row.address + 8 * index
        if not buffers and not after and ends == _NO_ENDS:
            status = _try_submit(self._number, address, length, at)
            if status:
                self._submit_slowly(status, address, length, at)
            return Handle(row, index)
        settings = _library.SubmitSettings(size=ctypes.sizeof(_library.SubmitSettings))
        add(settings, "buffers", "buffer_count", [buffer._number() for buffer in buffers])
        add(settings, "after", "after_count", [handle._number for handle in after])
        add_ends(settings, ends[0], ends[1])
        _shared.add_objects(settings, ends[2])
        status, begin = FULL, 0.0
        while _is_worth_another_try(status, begin):
            begin = time.monotonic()
            status = waiting.pinfold_task_submit_with_timeout(
                self._number, address, length, byref(settings), SLICE, at
            )
        check(status)
        return Handle(row, index)

    def _submit_slowly(self, status: int, data: Any, length: int, at: int) -> None:
        """Waits for room, and for Ctrl-C; ``status`` is why that is needed."""
        begin = 0.0
        while _is_worth_another_try(status, begin):
            begin = time.monotonic()
            status = waiting.pinfold_task_submit_timeout(self._number, data, length, SLICE, at)
        check(status)

    def _new_row(self) -> Tuple[Row, int]:
        row = Row(self._runtime)
        index = row.next()
        self._row = row  # from now on others may submit into it
        return row, index

    def map(self, items: Iterable[Data], *, batch: int = 256) -> Iterator[memoryview]:
        """Runs the task once for each item, and yields the results in their order. ``batch`` items go to
        the library in one call, and a few batches are in flight. A task without a result raises
        where its result would be."""
        source = iter(items)
        flying: Deque[_Batch] = deque()
        try:
            while True:
                while len(flying) < 4:
                    some = [item if type(item) is bytes else bytes(memoryview(item)) for item in islice(source, max(1, batch))]
                    if not some:
                        break
                    flying.append(_Batch(self._number, some))
                if not flying:
                    return
                yield from flying[0].results()
                flying.popleft()
        finally:
            for left in flying:
                left.free()


_try_submit = quick.pinfold_task_try_submit
_submit_many = waiting.pinfold_task_submit_many_timeout
_join_many = waiting.pinfold_handle_join_many


def _is_worth_another_try(status: int, begin: float) -> bool:
    """Whether a call that began then was refused because it had no more time."""
    # Of memory that there will never be it is known at once.
    return status in (FULL, TIMED_OUT) or status == NO_MEMORY and time.monotonic() - begin > SLICE / 2e9


class _Batch:
    """Tasks that were submitted in one call, and will be joined in one."""

    def __init__(self, task: Any, arguments: List[bytes]):
        self.count = len(arguments)
        self.handles = (c_void_p * self.count)()
        #: Why there are not more.
        self.refusal: Optional[Error] = None
        try:
            self._submit(task, arguments)
        except BaseException:
            self.free()
            raise

    def _submit(self, task: Any, arguments: List[bytes]) -> None:
        at, begin = ctypes.addressof(self.handles), 0.0
        while True:
            count = len(arguments)
            lens = (c_size_t * count)(*map(len, arguments))
            packed = b"".join(arguments)
            status = _submit_many(task, packed, len(packed), lens, count, SLICE, at)
            if status == OK:
                return
            # Those that were accepted have handles.
            done = list(self.handles[self.count - count :]).index(None)
            if not _is_worth_another_try(status, begin):
                self.refusal = _library.failure(status)
                self.count -= count - done
                return
            arguments, at, begin = arguments[done:], at + 8 * done, time.monotonic()

    def results(self) -> Iterator[memoryview]:
        count, handles = self.count, self.handles
        lens = (c_size_t * count)()
        statuses = (ctypes.c_int32 * count)()
        done, capacity = 0, 1 << 16
        while done < count:
            packed = bytearray(capacity)
            view = memoryview(packed).toreadonly()
            buffer = (ctypes.c_char * capacity).from_buffer(packed)
            status = _join_many(
                ctypes.addressof(handles) + done * 8, count - done, SLICE, buffer, capacity,
                ctypes.addressof(lens) + done * 8, ctypes.addressof(statuses) + done * 4,
            )  # fmt: skip
            if status not in (OK, BUFFER_TOO_SMALL, TIMED_OUT):
                raise _library.failure(status)
            start = 0
            for length, how in zip(lens[done:], statuses[done:]):
                if how == OK:
                    yield view[start : start + length]
                    start += length
                elif how in (BUFFER_TOO_SMALL, TIMED_OUT):
                    break
                else:
                    raise self._why(done)
                done += 1
            if status == BUFFER_TOO_SMALL and start == 0:
                # One that is longer than all the room: where it lies.
                owned = Owned(handles[done], quick.pinfold_handle_free)
                handles[done] = None
                done += 1
                yield in_place(owned)
        if self.refusal is not None:
            raise self.refusal

    def _why(self, index: int) -> Error:
        return why(self.handles[index])

    def free(self) -> None:
        """What was not joined runs on."""
        quick.pinfold_handle_free_many(self.handles, len(self.handles))
