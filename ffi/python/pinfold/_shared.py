"""What processes share besides channels: locks and their like, broadcast channels, members of groups, routers.

All get to tasks by ``submit(..., objects=[...])``, in the order in which the plugin asks for them
(``pinfold_call_object``), and into messages by ``send(..., objects=[...])``. What has one owner is moved then: a barrier, a
member, a subscriber.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from ._buffer import Buffer
from ._channel import _OVERFLOWS, Message, Receiver, Sender, _End, _in_slices, _listed, add, cargo
from ._errors import Disconnected, Lagged
from ._handle import view
from ._library import SubmitSettings, check, declare, failure, quick, waiting

BUSY, EMPTY, FULL, NOTHING_YET, LAGGED, TIMED_OUT = 32, 29, 14, 27, 31, 6
_OUT = POINTER(c_void_p)
_NUMBERS = "bBhHiIqQfd"
_OPERATIONS = ("sum", "product", "min", "max", "and", "or", "xor")


class BroadcastSettings(Structure):
    """``pinfold_broadcast_settings``."""

    _fields_ = [("size", c_size_t), ("overflow", c_int32), ("reserved", c_int32), ("subscribers", c_size_t)]


class Case(Structure):
    """``pinfold_case``."""

    _fields_ = [
        ("receiver", c_void_p),
        ("sender", c_void_p),
        ("data", c_void_p),
        ("len", c_size_t),
        ("settings", c_void_p),
        ("handle", c_void_p),
        ("at", c_uint64),
        ("object", c_void_p),
        ("reserved", c_size_t),
    ]


_FILL = ctypes.CFUNCTYPE(c_int32, c_void_p, c_size_t, c_void_p)
_SENT = [c_char_p, c_size_t, POINTER(SubmitSettings), c_uint64]
_LOCKED = [c_void_p, c_uint64, _OUT, POINTER(c_size_t), POINTER(c_int32)]
declare(
    {
        "pinfold_mutex_new": [c_void_p, c_char_p, c_size_t, _OUT],
        "pinfold_mutex_lock": _LOCKED,
        "pinfold_rwlock_new": [c_void_p, c_char_p, c_size_t, _OUT],
        "pinfold_rwlock_read": _LOCKED,
        "pinfold_rwlock_write": _LOCKED,
        "pinfold_semaphore_new": [c_void_p, c_size_t, _OUT],
        "pinfold_semaphore_acquire": [c_void_p, c_uint64],
        "pinfold_semaphore_available": [c_void_p, POINTER(c_size_t)],
        "pinfold_oncelock_new": [c_void_p, c_size_t, _OUT],
        "pinfold_oncelock_get": [c_void_p, _OUT, POINTER(c_size_t)],
        "pinfold_oncelock_get_or_init": [c_void_p, c_uint64, _FILL, c_void_p, _OUT, POINTER(c_size_t)],
        "pinfold_ticker_new": [c_void_p, c_uint64, _OUT],
        "pinfold_ticker_missed": [c_void_p, POINTER(c_uint64)],
        "pinfold_latch_new": [c_void_p, c_size_t, _OUT, _OUT],
        "pinfold_latch_wait": [c_void_p, c_uint64],
        "pinfold_latch_left": [c_void_p, POINTER(c_size_t)],
        "pinfold_countdown_count": [c_void_p, POINTER(c_int32)],
        "pinfold_waitgroup_new": [c_void_p, _OUT, _OUT],
        "pinfold_waitgroup_wait": [c_void_p, c_uint64],
        "pinfold_waitgroup_member_clone": [c_void_p, _OUT],
        "pinfold_barrier_new": [c_void_p, c_size_t, _OUT],
        "pinfold_barrier_wait": [c_void_p, c_uint64, POINTER(c_size_t)],
        "pinfold_broadcast_new": [c_void_p, c_size_t, POINTER(BroadcastSettings), _OUT],
        "pinfold_publisher_send": [c_void_p, *_SENT],
        "pinfold_publisher_subscribe": [c_void_p, _OUT],
        "pinfold_subscriber_recv": [c_void_p, c_uint64, _OUT, POINTER(c_uint64)],
        "pinfold_subscriber_len": [c_void_p, POINTER(c_size_t)],
        "pinfold_subscriber_lagged": [c_void_p, POINTER(c_uint64)],
        "pinfold_collective_new": [c_void_p, c_size_t, _OUT],
        "pinfold_member_rank": [c_void_p, POINTER(c_size_t), POINTER(c_size_t)],
        "pinfold_member_barrier": [c_void_p, c_uint64, POINTER(c_size_t)],
        "pinfold_member_shrink": [c_void_p, c_uint64, POINTER(c_size_t)],
        "pinfold_member_broadcast": [c_void_p, c_size_t, *_SENT, _OUT, POINTER(c_size_t)],
        "pinfold_member_gather": [c_void_p, c_size_t, *_SENT, _OUT, POINTER(c_size_t)],
        "pinfold_member_all_gather": [c_void_p, *_SENT, _OUT, POINTER(c_size_t)],
        "pinfold_member_scatter": [c_void_p, c_size_t, c_void_p, c_size_t, c_uint64, _OUT, POINTER(c_size_t)],
        "pinfold_member_all_reduce": [
            c_void_p, c_void_p, c_size_t, c_int32, c_int32, c_uint64, POINTER(c_size_t),
        ],
        "pinfold_router_new": [c_void_p, c_size_t, c_size_t, _OUT, _OUT],
        "pinfold_router_send": [c_void_p, c_size_t, *_SENT],
        "pinfold_router_send_by_key": [c_void_p, c_char_p, c_size_t, *_SENT],
        "pinfold_router_balance": [c_void_p, *_SENT],
        "pinfold_router_receiver_of": [c_void_p, c_char_p, c_size_t, POINTER(c_size_t)],
        "pinfold_select": [POINTER(Case), c_size_t, c_uint64, POINTER(c_size_t), _OUT],
        **{
            f"pinfold_{name}": [c_void_p]
            for name in (
                "mutex_mend mutex_unlock mutex_abandon mutex_free rwlock_mend rwlock_unlock rwlock_abandon rwlock_free "
                "semaphore_release semaphore_free latch_free countdown_free waitgroup_free waitgroup_member_free "
                "barrier_free publisher_close publisher_free subscriber_close subscriber_free member_free router_free "
                "oncelock_free ticker_free"
            ).split()
        },
    }
)  # fmt: skip


class Shared(_End):
    """What all of them have. Freed when nobody has it any more, or by :meth:`free`."""

    clone = close = __len__ = None  # type: ignore[assignment]

    def _wait(self, name: str, timeout: Optional[float], *out: Any) -> int:
        """The status of a call that waits for so many seconds."""
        number, call = self._number, f"pinfold_{self._of}_{name}"
        status = getattr(quick, call)(number, 0, *out)
        if status in (BUSY, EMPTY, TIMED_OUT) and timeout != 0:
            slow = getattr(waiting, call)
            status = _in_slices(lambda ns: slow(number, ns, *out), timeout)
        return status


class Guard:
    """A lock that this thread has: ``data`` is its memory, until the ``with`` block ends. ``is_half``: whoever had it before
    has died in the middle, or was thrown out by an exception; see to it, and call :meth:`mend`. If an exception leaves
    the block, the next one is told."""

    def __init__(self, lock: Shared, data: memoryview, is_half: bool):
        self._lock: Optional[Shared] = lock
        self.data = data
        self.is_half = is_half

    def mend(self) -> None:
        """It is whole again."""
        check(self._lock._call("mend"))
        self.is_half = False

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        lock, self._lock = self._lock, None
        try:
            self.data.release()
        except BufferError:
            pass  # an array of it is left, which must not be used any more
        if lock is not None:
            was_written = kind is not None and not self._is_read
            check(lock._call("abandon" if was_written else "unlock"))

    _is_read = False


class _Locking(Shared):
    def _take(self, name: str, timeout: Optional[float]) -> Guard:
        data, length, half = c_void_p(), c_size_t(), c_int32()
        check(self._wait(name, timeout, byref(data), byref(length), byref(half)))
        memory = (ctypes.c_ubyte * length.value).from_address(data.value or 0)
        memory._lock = self
        return Guard(self, memoryview(memory).cast("B"), half.value != 0)


class Mutex(_Locking):
    """A lock around some bytes of shared memory.

    with rt.mutex(bytes(8)).lock() as guard:
        guard.data[0] += 1
    """

    _what, _of = "Mutex", "mutex"

    def lock(self, timeout: Optional[float] = None) -> Guard:
        """Takes it; waits at most ``timeout`` seconds (``TimedOut``, which says who has it); 0 does not wait (``Busy``)."""
        return self._take("lock", timeout)


class RwLock(_Locking):
    """The same, which many may have to read, or one to write."""

    _what, _of = "RwLock", "rwlock"

    def read(self, timeout: Optional[float] = None) -> Guard:
        guard = self._take("read", timeout)
        guard.data, guard._is_read = guard.data.toreadonly(), True
        return guard

    def write(self, timeout: Optional[float] = None) -> Guard:
        return self._take("write", timeout)


class Semaphore(Shared):
    """So many permits. ``with semaphore:`` has one until the block ends; the object is not freed by that."""

    _what, _of = "Semaphore", "semaphore"

    def acquire(self, timeout: Optional[float] = None) -> None:
        check(self._wait("acquire", timeout))

    def release(self) -> None:
        check(self._call("release"))

    @property
    def available(self) -> int:
        count = c_size_t()
        check(self._call("available", byref(count)))
        return count.value

    def __enter__(self) -> "Semaphore":
        self.acquire()
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()


class OnceLock(Shared):
    """Some bytes of shared memory that are made once, by whoever asks first in any process, and then read."""

    _what, _of = "OnceLock", "oncelock"

    def get(self) -> Optional[memoryview]:
        """The bytes, read-only, if they were made."""
        data, length = c_void_p(), c_size_t()
        status = self._call("get", byref(data), byref(length))
        if status == NOTHING_YET:
            return None
        check(status)
        return self._view(data, length)

    def get_or_init(self, fill: Callable[[memoryview], Any], timeout: Optional[float] = None) -> memoryview:
        """The same; has ``fill`` write them, which are 0, if nobody has, or waits for who does. If it raises, they are not
        made, and that comes through."""
        raised: List[BaseException] = []

        def run(data: int, length: int, _: Any) -> int:
            try:
                memory = (ctypes.c_ubyte * length).from_address(data or 0)
                fill(memoryview(memory).cast("B"))
                return 0
            except BaseException as error:  # must not get into C
                raised.append(error)
                return 1

        number, call, function = self._number, waiting.pinfold_oncelock_get_or_init, _FILL(run)
        data, length = c_void_p(), c_size_t()
        status = _in_slices(lambda ns: call(number, ns, function, None, byref(data), byref(length)), timeout)
        if raised:
            raise raised[0]
        check(status)
        return self._view(data, length)

    def _view(self, data: c_void_p, length: c_size_t) -> memoryview:
        assert self._owner is not None
        return view(data.value or 0, length.value, self._owner).toreadonly()


class Ticker(Shared):
    """Ticks at the same moments in all processes: for :func:`select`."""

    _what, _of = "Ticker", "ticker"

    @property
    def missed(self) -> int:
        """How many ticks there were since it was asked last."""
        count = c_uint64()
        check(self._call("missed", byref(count)))
        return count.value


class Countdown(Shared):
    """Counts for a :class:`Latch`."""

    _what, _of = "Countdown", "countdown"

    def count(self) -> bool:
        """False if all was counted before."""
        counted = c_int32()
        check(self._call("count", byref(counted)))
        return counted.value != 0


class Latch(Shared):
    """Waits until so much was counted."""

    _what, _of = "Latch", "latch"

    def wait(self, timeout: Optional[float] = None) -> None:
        check(self._wait("wait", timeout))

    @property
    def left(self) -> int:
        left = c_size_t()
        check(self._call("left", byref(left)))
        return left.value


class WaitGroupMember(Shared):
    """Is done when it is freed, or when the task has ended that has it."""

    _what, _of = "WaitGroupMember", "waitgroup_member"

    def clone(self) -> "WaitGroupMember":  # type: ignore[override]
        return _End.clone(self)


class WaitGroup(Shared):
    """Waits until all members are done. ``MemberGone``: they are, but some have died."""

    _what, _of = "WaitGroup", "waitgroup"

    def wait(self, timeout: Optional[float] = None) -> None:
        check(self._wait("wait", timeout))


class Barrier(Shared):
    """A member of a barrier."""

    _what, _of = "Barrier", "barrier"

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until all members have called it as often. ``MemberGone``: one will not come."""
        check_of_member(lambda rank: self._wait("wait", timeout, rank))


class Subscriber(Shared):
    """A subscription to a broadcast channel. To go through it ends when all are read, and nobody sends any more."""

    _what, _of = "Subscriber", "subscriber"
    __len__ = _End.__len__  # type: ignore[assignment]
    close = _End.close  # type: ignore[assignment]

    def recv(self, timeout: Optional[float] = None) -> Message:
        """The next message, as :meth:`Receiver.recv`. ``Lagged``: so many (``count``) were overwritten before they were
        read."""
        message, lagged = c_void_p(), c_uint64()
        status = self._wait("recv", timeout, byref(message), byref(lagged))
        if status == LAGGED:
            error = failure(status)
            assert isinstance(error, Lagged)
            error.count = lagged.value
            raise error
        check(status)
        return Message(message.value)

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self.recv()
            except Disconnected:
                return

    @property
    def lagged(self) -> int:
        count = c_uint64()
        check(self._call("lagged", byref(count)))
        return count.value


class _Sending(Shared):
    def _send(self, name: str, first: Sequence[Any], data: Any, with_: Any, timeout: Optional[float]) -> None:
        number, call = self._number, f"pinfold_{self._of}_{name}"
        data = data if type(data) is bytes else bytes(memoryview(data))
        settings = cargo(*with_)
        rest = (*first, data, len(data), settings)
        status = getattr(quick, call)(number, *rest, 0)
        if status in (FULL, TIMED_OUT) and timeout != 0:
            slow = getattr(waiting, call)
            status = _in_slices(lambda ns: slow(number, *rest, ns), timeout)
        check(status)


class Publisher(_Sending):
    """The sending end of a broadcast channel."""

    _what, _of = "Publisher", "publisher"
    close = _End.close  # type: ignore[assignment]

    def send(
        self,
        data: Any = b"",
        *,
        buffers: Iterable[Buffer] = (),
        senders: Iterable[Sender] = (),
        receivers: Iterable[Receiver] = (),
        objects: Iterable[Shared] = (),
        timeout: Optional[float] = None,
    ) -> None:
        """Sends to all that are subscribed, as :meth:`Sender.send`."""
        self._send("send", (), data, (buffers, senders, receivers, objects), timeout)

    def subscribe(self) -> Subscriber:
        number = c_void_p()
        check(self._call("subscribe", byref(number)))
        return Subscriber(number.value)


class Router(_Sending):
    """Sends each message to one of several receivers."""

    _what, _of = "Router", "router"

    def send(self, number: int, data: Any = b"", *, timeout: Optional[float] = None) -> None:
        """To the receiver of this number."""
        self._send("send", (number,), data, ((), (), ()), timeout)

    def send_by_key(self, key: bytes, data: Any = b"", *, timeout: Optional[float] = None) -> None:
        """To the one that has the key."""
        self._send("send_by_key", (key, len(key)), data, ((), (), ()), timeout)

    def balance(self, data: Any = b"", *, timeout: Optional[float] = None) -> None:
        """To the one with the shortest queue."""
        self._send("balance", (), data, ((), (), ()), timeout)

    def receiver_of(self, key: bytes) -> int:
        number = c_size_t()
        check(self._call("receiver_of", key, len(key), byref(number)))
        return number.value


def check_of_member(call: Any) -> None:
    """Raises with the rank of the member that a failure is about."""
    rank = c_size_t(2**64 - 1)
    status = call(byref(rank))
    if status:
        error = failure(status)
        error.rank = None if rank.value == 2**64 - 1 else rank.value  # type: ignore[attr-defined]
        raise error


class Member(Shared):
    """A member of a group, whose members all call the same, in the same order. An error that is about a member has its ``rank``.

    ``timeout``, in seconds, is how long each call waits for the others; after ``TimedOut`` call the same again.
    """

    _what, _of = "Member", "member"
    timeout: Optional[float] = None

    def _go(self, name: str, *arguments: Any, out: Tuple[Any, ...] = ()) -> None:
        number, slow = self._number, getattr(waiting, f"pinfold_member_{name}")
        check_of_member(lambda rank: _in_slices(lambda ns: slow(number, *arguments, ns, *out, rank), self.timeout))

    @property
    def rank(self) -> int:
        return self._ranks()[0]

    @property
    def size(self) -> int:
        return self._ranks()[1]

    def _ranks(self) -> Tuple[int, int]:
        rank, size = c_size_t(), c_size_t()
        check(self._call("rank", byref(rank), byref(size)))
        return rank.value, size.value

    def barrier(self) -> None:
        self._go("barrier")

    def shrink(self) -> None:
        """Goes on without those that are gone."""
        self._go("shrink")

    def broadcast(self, root: int, data: bytes = b"") -> Message:
        """What member ``root`` has brought."""
        message = c_void_p()
        self._go("broadcast", root, data, len(data), None, out=(byref(message),))
        return Message(message.value)

    def scatter(self, root: int, buffer: Optional[Buffer] = None, element: int = 1) -> Buffer:
        """A part of the buffer of member ``root``, in whole elements of so many bytes."""
        part = c_void_p()
        number = None if buffer is None else buffer._number()
        self._go("scatter", root, number, element, out=(byref(part),))
        return Buffer._received(part.value)

    def gather(self, root: int, data: bytes) -> List[Message]:
        """What all have brought, at member ``root``; nothing at others."""
        rank, size = self._ranks()
        messages = (c_void_p * (size if rank == root else 0))()
        out = ctypes.cast(messages, _OUT) if rank == root else None
        self._go("gather", root, data, len(data), None, out=(out,))
        return [Message(number) for number in messages]

    def all_gather(self, data: bytes) -> List[Message]:
        messages = (c_void_p * self.size)()
        self._go("all_gather", data, len(data), None, out=(ctypes.cast(messages, _OUT),))
        return [Message(number) for number in messages]

    def all_reduce(self, values: Any, operation: str) -> None:
        """Combines the numbers of all, in place: a writable array of ``array`` or numpy. ``operation``: "sum", "product",
        "min", "max", and of whole numbers "and", "or", "xor"."""
        view = memoryview(values)
        form = {"l": "q", "L": "Q"}.get(view.format, view.format)
        if form not in _NUMBERS or view.readonly or not view.c_contiguous:
            raise TypeError(f"numbers in one piece that can be written are combined, not {view.format!r}")
        if operation not in _OPERATIONS:
            raise ValueError(f"operation is one of {', '.join(map(repr, _OPERATIONS))}, not {operation!r}")
        memory = (ctypes.c_ubyte * view.nbytes).from_buffer(view.cast("B")) if view.nbytes else None
        count, number = view.nbytes // view.itemsize, 1 + _NUMBERS.index(form)
        self._go("all_reduce", memory, count, number, 1 + _OPERATIONS.index(operation))


class Select:
    """The first of several things: ``index`` of its case, ``message`` of a receiver; ``is_over``: nobody is at its other end."""

    __slots__ = ("index", "message", "is_over")

    def __init__(self, index: int, message: Optional[Message], is_over: bool):
        self.index, self.message, self.is_over = index, message, is_over


def select(*cases: Any, timeout: Optional[float] = None) -> Select:
    """Waits for the first of several things, and does it. A case is a :class:`Receiver`, a pair of a :class:`Sender`
    and the bytes to be sent, a :class:`Handle` of a task, a time of ``time.monotonic``, or ``None``, which is never ready; or a
    :class:`Subscriber` or a :class:`Ticker`, of which nothing is taken: ask it then (``recv(timeout=0)``, ``missed``).
    ``timeout`` in seconds (``TimedOut``); 0 does not wait (``Empty``)."""
    listed, kept = (Case * len(cases))(), []
    for case, of in zip(listed, cases):
        if isinstance(of, Receiver):
            case.receiver = of._number
        elif isinstance(of, (Subscriber, Ticker)):
            case.object = of._number
        elif isinstance(of, tuple):
            data = ctypes.create_string_buffer(bytes(of[1]), len(of[1]))
            kept.append(data)
            case.sender, case.data, case.len = of[0]._number, ctypes.addressof(data), len(of[1])
        elif isinstance(of, (int, float)):
            case.at = max(1, int(of * 1e9))
        elif of is not None:
            case.handle = of._number
    index, message = c_size_t(2**64 - 1), c_void_p()
    status = quick.pinfold_select(listed, len(cases), 0, byref(index), byref(message))
    if status == NOTHING_YET and timeout != 0:
        call = waiting.pinfold_select
        status = _in_slices(lambda ns: call(listed, len(cases), ns, byref(index), byref(message)), timeout)
    if status == 28 and index.value != 2**64 - 1:
        return Select(index.value, None, True)
    check(status)
    return Select(index.value, Message(message.value) if message.value else None, False)


def add_objects(settings: SubmitSettings, objects: Iterable[Any]) -> None:
    """Names these."""
    add(settings, "objects", "object_count", [one._number for one in _listed("objects", objects, Shared)])


def made(name: str, kind: Any, runtime: int, *arguments: Any) -> Any:
    """One new object."""
    number = c_void_p()
    check(getattr(quick, f"pinfold_{name}_new")(runtime, *arguments, byref(number)))
    return kind(number.value)


def pair(name: str, kinds: Tuple[Any, Any], runtime: int, *arguments: Any) -> Tuple[Any, Any]:
    """Two, which belong together."""
    one, two = c_void_p(), c_void_p()
    check(getattr(quick, f"pinfold_{name}_new")(runtime, *arguments, byref(one), byref(two)))
    return kinds[0](one.value), kinds[1](two.value)


def members(name: str, kind: Any, runtime: int, count: int) -> List[Any]:
    """So many, which belong together."""
    numbers = (c_void_p * max(count, 1))()
    check(getattr(quick, f"pinfold_{name}_new")(runtime, count, ctypes.cast(numbers, _OUT)))
    return [kind(number) for number in numbers]


def broadcast(runtime: int, capacity: int, overflow: str, subscribers: int) -> Publisher:
    if overflow not in _OVERFLOWS:
        raise ValueError(f"overflow is one of {', '.join(map(repr, _OVERFLOWS))}, not {overflow!r}")
    settings = BroadcastSettings(ctypes.sizeof(BroadcastSettings), 1 + _OVERFLOWS.index(overflow), 0, subscribers)
    return made("broadcast", Publisher, runtime, capacity, byref(settings))


def router(runtime: int, receivers: int, capacity: int) -> Tuple[Router, List[Receiver]]:
    number, ends = c_void_p(), (c_void_p * max(receivers, 1))()
    check(quick.pinfold_router_new(runtime, receivers, capacity, byref(number), ctypes.cast(ends, _OUT)))
    return Router(number.value), [Receiver(end) for end in ends]
