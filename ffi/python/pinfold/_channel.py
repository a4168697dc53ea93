"""Channels between this process and tasks."""

from __future__ import annotations

import ctypes
import time
from ctypes import byref, c_size_t, c_uint64, c_void_p
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from ._buffer import Buffer
from ._errors import Disconnected
from ._handle import Owned, view
from ._library import FULL, SLICE, TIMED_OUT, ChannelSettings, SubmitSettings, check, declare, quick, waiting

EMPTY = 29
_OVERFLOWS = ("block", "reject", "drop_oldest")
declare(
    {
        "pinfold_message_object_count": [c_void_p, ctypes.POINTER(c_size_t)],
        "pinfold_message_object": [c_void_p, c_size_t, ctypes.POINTER(c_void_p)],
    }
)


class _End:
    """What both ends have. Freed when nobody has it any more, or by :meth:`free`, or by a ``with`` statement."""

    _what = ""
    _of = ""

    def __init__(self, number: int):
        self._owner: Optional[Owned] = Owned(number, getattr(quick, f"pinfold_{self._of}_free"))

    @property
    def _number(self) -> int:
        if self._owner is None:
            raise ValueError(f"this {self._what} was freed")
        return self._owner.number

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._what} is of this process, and cannot be copied or pickled: a task gets it by submit")

    def __enter__(self) -> Any:
        self._number
        return self

    def __exit__(self, *_: Any) -> None:
        self.free()

    def __len__(self) -> int:
        """How many messages there are, at some moment."""
        length = c_size_t()
        check(self._call("len", byref(length)))
        return length.value

    def _call(self, name: str, *arguments: Any) -> int:
        return getattr(quick, f"pinfold_{self._of}_{name}")(self._number, *arguments)

    def clone(self) -> Any:
        """One more end of the same channel."""
        number = c_void_p()
        check(self._call("clone", byref(number)))
        return type(self)(number.value)

    def close(self) -> None:
        """Closes the channel for all: no more messages are accepted; those that were are still received."""
        check(self._call("close"))

    def free(self) -> None:
        """Lets go of this end, now."""
        self._owner = None

    def __bool__(self) -> bool:
        return True


class Sender(_End):
    """The sending end of a channel. When the last one is gone, the channel is over for its receivers."""

    _what = "Sender"
    _of = "sender"

    def send(
        self,
        data: Any = b"",
        *,
        buffers: Iterable[Buffer] = (),
        senders: Iterable["Sender"] = (),
        receivers: Iterable["Receiver"] = (),
        objects: Iterable[Any] = (),
        timeout: Optional[float] = None,
    ) -> None:
        """Sends some bytes (anything that has them in one piece), which are copied, with ``buffers``, which
        are not, with ends of channels, and with ``objects`` as for :meth:`Task.submit`. Waits for room, at most ``timeout`` seconds (``TimedOut``); 0
        does not wait (``Full``). ``Disconnected``: nobody receives any more."""
        number = self._number
        data = data if type(data) is bytes else bytes(memoryview(data))
        settings = cargo(buffers, senders, receivers, objects)
        send, length = quick.pinfold_sender_send, len(data)
        status = send(number, data, length, settings, 0)
        if status == FULL and timeout != 0:
            status = _in_slices(lambda ns: waiting.pinfold_sender_send(number, data, length, settings, ns), timeout)
        check(status)


class Message:
    """A message that was received: ``data`` is a read-only ``memoryview`` of its bytes; ``buffers``, ``senders``
    and ``receivers`` are what went with it, and of ``object_count`` others :meth:`object` has one each."""

    __slots__ = ("data", "buffers", "senders", "receivers", "object_count", "_owner")

    def __init__(self, number: int):
        owner = Owned(number, quick.pinfold_message_free)
        address, length = c_void_p(), c_size_t()
        check(quick.pinfold_message_data(number, byref(address), byref(length)))
        self.data: memoryview = view(address.value or 0, length.value, owner).toreadonly()
        self.buffers: List[Buffer] = _all_of(number, "buffer", Buffer._received)
        self.senders: List[Sender] = _all_of(number, "sender", Sender)
        self.receivers: List[Receiver] = _all_of(number, "receiver", Receiver)
        count = c_size_t()
        check(quick.pinfold_message_object_count(number, byref(count)))
        self.object_count: int = count.value
        self._owner = owner

    def object(self, index: int, kind: Any) -> Any:
        """One of them, which is of this kind (:class:`Mutex`, say). What has one owner is had once."""
        one = c_void_p()
        check(quick.pinfold_message_object(self._owner.number, index, byref(one)))
        return kind(one.value)

    def __bytes__(self) -> bytes:
        return bytes(self.data)


class Receiver(_End):
    """The receiving end of a channel: a message is received by one of them. To go through it ends when all are
    taken, and nobody sends any more."""

    _what = "Receiver"
    _of = "receiver"

    def recv(self, timeout: Optional[float] = None) -> Message:
        """The next message. Waits for it, at most ``timeout`` seconds (``TimedOut``); 0 does not wait
        (``Empty``). ``Disconnected``: all are taken, and nobody sends any more."""
        number, message = self._number, c_void_p()
        status = quick.pinfold_receiver_recv(number, 0, byref(message))
        if status == EMPTY and timeout != 0:
            status = _in_slices(lambda ns: waiting.pinfold_receiver_recv(number, ns, byref(message)), timeout)
        check(status)
        return Message(message.value)

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.recv()
            except Disconnected:
                return

    @property
    def dropped(self) -> int:
        """How many messages were dropped to make room for others (``overflow="drop_oldest"``)."""
        return self._count("dropped")

    @property
    def lost(self) -> int:
        """How many messages were lost with receivers that died while they took them."""
        return self._count("lost")

    def _count(self, name: str) -> int:
        count = c_uint64()
        check(self._call(name, byref(count)))
        return count.value


def _in_slices(call: Any, timeout: Optional[float]) -> int:
    """Waits, and hears Ctrl-C."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = SLICE if end is None else min(SLICE, max(1, int((end - time.monotonic()) * 1e9)))
        status = call(left)
        if status != TIMED_OUT or end is not None and time.monotonic() >= end:
            return status


def _all_of(message: int, what: str, of: Any) -> List[Any]:
    count = c_size_t()
    check(getattr(quick, f"pinfold_message_{what}_count")(message, byref(count)))
    one, all_of = c_void_p(), []
    for index in range(count.value):
        check(getattr(quick, f"pinfold_message_{what}")(message, index, byref(one)))
        all_of.append(of(one.value))
    return all_of


def _listed(name: str, given: Iterable[Any], kind: type) -> List[Any]:
    given = list(given)
    for one in given:
        if not isinstance(one, kind):
            raise TypeError(f"{name} are {kind.__name__}s, not {type(one).__name__}")
    return given


def cargo(
    buffers: Iterable[Buffer], senders: Iterable[Sender], receivers: Iterable[Receiver], objects: Iterable[Any] = ()
) -> Optional[SubmitSettings]:
    """What goes with bytes; keeps what it names."""
    if buffers == () and senders == () and receivers == () and objects == ():
        return None
    settings = SubmitSettings(size=ctypes.sizeof(SubmitSettings))
    add(settings, "buffers", "buffer_count", [one._number() for one in _listed("buffers", buffers, Buffer)])
    add_ends(settings, senders, receivers)
    add(settings, "objects", "object_count", [one._number for one in _listed("objects", objects, _End)])
    return settings


def add_ends(settings: SubmitSettings, senders: Iterable[Sender], receivers: Iterable[Receiver]) -> None:
    """Names these ends."""
    add(settings, "senders", "sender_count", [one._number for one in _listed("senders", senders, Sender)])
    add(settings, "receivers", "receiver_count", [one._number for one in _listed("receivers", receivers, Receiver)])


def add(settings: SubmitSettings, name: str, count: str, numbers: List[int]) -> None:
    """Names these handles; the list stays as long as the settings."""
    array = (c_void_p * len(numbers))(*numbers)
    setattr(settings, name, ctypes.addressof(array))
    setattr(settings, count, len(numbers))
    settings.__dict__.setdefault("_kept", []).append(array)


def channel(runtime: int, capacity: int, overflow: str) -> Tuple[Sender, Receiver]:
    """Both ends of a new one."""
    if overflow not in _OVERFLOWS:
        raise ValueError(f"overflow is one of {', '.join(map(repr, _OVERFLOWS))}, not {overflow!r}")
    if capacity < 0:
        raise ValueError(f"a channel cannot hold {capacity} messages")
    settings = ChannelSettings(size=ctypes.sizeof(ChannelSettings), overflow=1 + _OVERFLOWS.index(overflow))
    sender, receiver = c_void_p(), c_void_p()
    check(waiting.pinfold_channel_new(runtime, capacity, byref(settings), byref(sender), byref(receiver)))
    return Sender(sender.value), Receiver(receiver.value)
