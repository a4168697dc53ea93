"""Runtimes, and the tasks that are submitted to them."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections import deque
from ctypes import byref, c_char_p, c_size_t, c_void_p
from itertools import islice
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from . import _handle, _library
from ._buffer import Buffer
from ._errors import Error, InvalidArgument
from ._handle import Handle, in_place, slot, why
from ._library import BUFFER_TOO_SMALL, OK, SLICE as _SLICE, TIMED_OUT, Config, TaskSettings, check, quick, waiting
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
_NOT_HERE = ("size", "tags", "tag_count", "limits", "limit_count", "plugin", "worker_program")


def _fill(settings: Any, given: Dict[str, Any]) -> Any:
    """Sets fields of a struct by their names: times in seconds, choices as bool, enums as words."""
    settings.size = ctypes.sizeof(settings)
    known = [name for name, _ in settings._fields_ if name not in _NOT_HERE]
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"there is no setting {name!r}; there are: {', '.join(known)}")
        if value is None:
            continue
        if name in _WORDS:
            if value not in _WORDS[name]:
                raise ValueError(f"{name} is one of {_WORDS[name]}, not {value!r}")
            value = 1 + _WORDS[name].index(value)
        elif name in _CHOICES:
            value = 1 if value else 2
        elif name in _TIMES:
            value = max(0, int(value * 1e9))
        elif isinstance(value, str):
            value = value.encode()
        setattr(settings, name, value)
    return settings


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

_live: "weakref.WeakSet[Runtime]" = weakref.WeakSet()


def _after_fork() -> None:
    _handle.after_fork()
    for runtime in list(_live):
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

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def functions(self) -> List[str]:
        """The names of the plugin's functions."""
        needed = c_size_t()
        status = waiting.pinfold_runtime_functions(self._number, None, 0, byref(needed))
        if status != BUFFER_TOO_SMALL:
            check(status)
        text = ctypes.create_string_buffer(needed.value + 1)
        check(waiting.pinfold_runtime_functions(self._number, text, len(text), None))
        return text.value.decode().splitlines()

    def task(self, function: str, /, **settings: Any) -> "Task":
        """A function of the plugin, with settings: the fields of ``pinfold_task_settings`` by their names,
        as those of the runtime (``run_limit=1.5``, ``attempts=3``, ``priority="urgent"``)."""
        return Task(self, function, settings)

    def buffer(self, length: int) -> Buffer:
        """Shared memory of so many bytes, to be written and passed to tasks without a copy."""
        return Buffer(self._number, length)

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


class Task:
    """A function of a runtime's plugin, with its settings; to be submitted any number of times."""

    def __init__(self, runtime: Runtime, name: str, settings: Dict[str, Any]):
        given = _fill(TaskSettings(), settings)
        number = c_void_p()
        check(waiting.pinfold_task_new(runtime._number, name.encode(), byref(given), byref(number)))
        self._number = number.value
        self._runtime = runtime
        self._end = weakref.finalize(self, quick.pinfold_task_free, number.value)

    def submit(
        self, data: Data = b"", *, buffers: Iterable[Buffer] = (), after: Iterable[Handle] = ()
    ) -> Handle:
        """Submits the task with some bytes (anything that has them in one piece: ``bytes``, an array),
        which are copied, and with ``buffers``, which are not. Waits for room if as many tasks are in
        flight as may be.

        ``after``: it begins when those have ended, whose results are its inputs. They must be of this
        runtime, and not have been asked for their results.
        """
        if type(data) is bytes and buffers == () and after == ():
            at = slot.handle_at
            # In most cases there is room, and nothing to wait for.
            if _try_submit(self._number, data, len(data), at):
                check(_submit(self._number, data, len(data), at))
            return Handle(slot.handle.value, self._runtime)
        bytes_of = _Buffer()
        _get_buffer(data, byref(bytes_of), 0)
        try:
            return self._submit_at(bytes_of.buf, bytes_of.len, list(buffers), list(after))
        finally:
            _release_buffer(byref(bytes_of))

    def _submit_at(
        self, address: Optional[int], length: int, buffers: List[Buffer], after: List[Handle]
    ) -> Handle:
        at = slot.handle_at
        if not buffers and not after:
            check(_submit(self._number, address, length, at))
            return Handle(slot.handle.value, self._runtime)
        shared = (c_void_p * len(buffers))(*(buffer._number() for buffer in buffers))
        numbers = [handle._number for handle in after]
        if None in numbers:
            raise InvalidArgument("a handle in `after` was asked for its result before: submit first, then ask")
        before = (c_void_p * len(after))(*numbers)
        settings = _library.SubmitSettings(
            size=ctypes.sizeof(_library.SubmitSettings),
            buffers=ctypes.addressof(shared),
            buffer_count=len(buffers),
            after=ctypes.addressof(before),
            after_count=len(after),
        )
        check(waiting.pinfold_task_submit_with(self._number, address, length, byref(settings), at))
        return Handle(slot.handle.value, self._runtime)

    def map(self, items: Iterable[Data], *, batch: int = 256) -> Iterator[memoryview]:
        """Runs the task once for each item, and yields the results in their order. ``batch`` items go to
        the library in one call, and a few batches are in flight. A task without a result raises
        where its result would be."""
        source = iter(items)
        flying: Deque[_Batch] = deque()
        try:
            while True:
                while len(flying) < 4:
                    some = [item if type(item) is bytes else bytes(item) for item in islice(source, max(1, batch))]
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
_submit = waiting.pinfold_task_submit
_submit_many = waiting.pinfold_task_submit_many
_join_many = waiting.pinfold_handle_join_many


class _Batch:
    """Tasks that were submitted in one call, and will be joined in one."""

    def __init__(self, task: Any, arguments: List[bytes]):
        count = len(arguments)
        self.count = count
        self.handles = (c_void_p * count)()
        lens = (c_size_t * count)(*map(len, arguments))
        packed = b"".join(arguments)
        status = _submit_many(task, packed, len(packed), lens, count, self.handles)
        if status:
            error = _library.failure(status)
            self.free()
            raise error

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
                ctypes.addressof(handles) + done * 8, count - done, _SLICE, buffer, capacity,
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
                number, handles[done] = handles[done], None
                done += 1
                yield in_place(number)

    def _why(self, index: int) -> Error:
        number, self.handles[index] = self.handles[index], None
        return why(number)

    def free(self) -> None:
        """What was not joined runs on."""
        for number in self.handles:
            if number:
                quick.pinfold_handle_free(number)
