"""The C library: where it is, and how its functions are called.

Each function is known twice: in ``waiting``, which lets other threads of Python run meanwhile, and
in ``quick``, which does not (that costs time): for what never waits.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import POINTER, Structure, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

from ._errors import Error, error_of

ABI_VERSION = 1
#: How long a wait is deaf to Ctrl-C, in ns.
SLICE = 100_000_000

OK = 0
TIMED_OUT = 6
BUFFER_TOO_SMALL = 7
FULL = 14
NO_MEMORY = 15


class Config(Structure):
    """``pinfold_config``."""

    _fields_ = [
        ("size", c_size_t),
        ("workers", c_size_t),
        ("threads_per_worker", c_size_t),
        ("memory_cap", c_uint64),
        ("queue_capacity", c_size_t),
        ("pin", c_int32),
        ("keepers", c_int32),
        ("dump_memory", c_int32),
        ("zero_memory", c_int32),
        ("end_programs", c_int32),
        ("profile", c_int32),
        ("start_checked", c_int32),
        ("start_attempts", c_uint32),
        ("orphans", c_int32),
        ("on_free", c_int32),
        ("on_free_time", c_uint64),
        ("on_free_grace", c_uint64),
        ("kill_grace", c_uint64),
        ("heartbeat", c_uint64),
        ("spares", c_size_t),
        ("stack_size", c_size_t),
        ("worker_init_timeout", c_uint64),
        ("plugin", c_char_p),
        ("worker_program", c_char_p),
        ("worker_state", c_char_p),
        ("executor_state", c_char_p),
        ("state_argument", c_char_p),
        ("state_argument_len", c_size_t),
    ]


class TaskSettings(Structure):
    """``pinfold_task_settings``."""

    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("traceparent", c_char_p),
        ("tags", c_void_p),
        ("tag_count", c_size_t),
        ("limits", c_void_p),
        ("limit_count", c_size_t),
        ("run_limit", c_uint64),
        ("hard_deadline", c_uint64),
        ("start_deadline", c_uint64),
        ("soft_deadline", c_uint64),
        ("priority", c_int32),
        ("attempts", c_uint32),
        ("backoff_first", c_uint64),
        ("backoff_longest", c_uint64),
        ("retry", c_int32),
        ("retry_attempts", c_uint32),
        ("retry_delay", c_uint64),
        ("retry_longest", c_uint64),
        ("retry_jitter", c_int32),
    ]


class SubmitSettings(Structure):
    """``pinfold_submit_settings``."""

    _fields_ = [
        ("size", c_size_t),
        ("buffers", c_void_p),
        ("buffer_count", c_size_t),
        ("move_buffers", c_int32),
        ("after", c_void_p),
        ("after_count", c_size_t),
        ("senders", c_void_p),
        ("sender_count", c_size_t),
        ("receivers", c_void_p),
        ("receiver_count", c_size_t),
        ("objects", c_void_p),
        ("object_count", c_size_t),
    ]


class ChannelSettings(Structure):
    """``pinfold_channel_settings``."""

    _fields_ = [
        ("size", c_size_t),
        ("overflow", c_int32),
        ("reserved", c_int32),
        ("bytes", c_uint64),
        ("acks", c_int32),
        ("reserved_2", c_int32),
        ("compress_from", c_uint64),
    ]


#: The arguments of each function; all return a status.
SIGNATURES = {
    "pinfold_runtime_new": [POINTER(Config), POINTER(c_void_p)],
    "pinfold_runtime_free": [c_void_p],
    "pinfold_runtime_functions": [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)],
    "pinfold_task_new": [c_void_p, c_char_p, POINTER(TaskSettings), POINTER(c_void_p)],
    "pinfold_task_free": [c_void_p],
    "pinfold_task_try_submit": [c_void_p, c_void_p, c_size_t, c_void_p],
    "pinfold_task_submit_timeout": [c_void_p, c_void_p, c_size_t, c_uint64, c_void_p],
    "pinfold_task_submit_with_timeout": [
        c_void_p, c_void_p, c_size_t, POINTER(SubmitSettings), c_uint64, c_void_p,
    ],  # fmt: skip
    "pinfold_task_submit_many_timeout": [
        c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_uint64, c_void_p,
    ],  # fmt: skip
    "pinfold_handle_result": [c_void_p, POINTER(c_void_p), POINTER(c_size_t)],
    "pinfold_handle_code": [c_void_p, POINTER(c_int32)],
    "pinfold_handle_join_many": [c_void_p, c_size_t, c_uint64, c_void_p, c_size_t, c_void_p, c_void_p],
    "pinfold_handle_copy_many": [c_void_p, c_size_t, c_uint64, c_void_p, c_size_t, c_void_p, c_void_p],
    "pinfold_handle_cancel": [c_void_p],
    "pinfold_handle_cancel_within": [c_void_p, c_uint64],
    "pinfold_handle_free": [c_void_p],
    "pinfold_handle_free_many": [c_void_p, c_size_t],
    "pinfold_buffer_new": [c_void_p, c_size_t, POINTER(c_void_p)],
    "pinfold_buffer_data": [c_void_p, POINTER(c_void_p)],
    "pinfold_buffer_const_data": [c_void_p, POINTER(c_void_p), POINTER(c_size_t)],
    "pinfold_buffer_publish": [c_void_p],
    "pinfold_buffer_free": [c_void_p],
    "pinfold_channel_new": [
        c_void_p, c_size_t, POINTER(ChannelSettings), POINTER(c_void_p), POINTER(c_void_p),
    ],  # fmt: skip
    "pinfold_sender_send": [c_void_p, c_char_p, c_size_t, POINTER(SubmitSettings), c_uint64],
    "pinfold_sender_clone": [c_void_p, POINTER(c_void_p)],
    "pinfold_sender_len": [c_void_p, POINTER(c_size_t)],
    "pinfold_sender_close": [c_void_p],
    "pinfold_sender_free": [c_void_p],
    "pinfold_receiver_recv": [c_void_p, c_uint64, POINTER(c_void_p)],
    "pinfold_receiver_clone": [c_void_p, POINTER(c_void_p)],
    "pinfold_receiver_len": [c_void_p, POINTER(c_size_t)],
    "pinfold_receiver_dropped": [c_void_p, POINTER(c_uint64)],
    "pinfold_receiver_lost": [c_void_p, POINTER(c_uint64)],
    "pinfold_receiver_close": [c_void_p],
    "pinfold_receiver_free": [c_void_p],
    "pinfold_message_data": [c_void_p, POINTER(c_void_p), POINTER(c_size_t)],
    "pinfold_message_buffer_count": [c_void_p, POINTER(c_size_t)],
    "pinfold_message_buffer": [c_void_p, c_size_t, POINTER(c_void_p)],
    "pinfold_message_sender_count": [c_void_p, POINTER(c_size_t)],
    "pinfold_message_sender": [c_void_p, c_size_t, POINTER(c_void_p)],
    "pinfold_message_receiver_count": [c_void_p, POINTER(c_size_t)],
    "pinfold_message_receiver": [c_void_p, c_size_t, POINTER(c_void_p)],
    "pinfold_message_free": [c_void_p],
    "pinfold_events_new": [POINTER(c_void_p)],
    "pinfold_events_fd": [c_void_p, POINTER(c_int32)],
    "pinfold_events_add": [c_void_p, c_void_p, c_uint64],
    "pinfold_events_next_many": [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)],
    "pinfold_events_free": [c_void_p],
}


def _places() -> list:
    named = os.environ.get("PINFOLD_LIBRARY")
    if named:
        return [named]
    here = os.path.dirname(os.path.abspath(__file__))
    beside = os.path.join(here, "libpinfold.so.0")
    return [beside, ctypes.util.find_library("pinfold"), "libpinfold.so.0"]


def _load() -> tuple:
    refused = []
    for place in _places():
        if not place:
            continue
        try:
            return ctypes.CDLL(place), ctypes.PyDLL(place)
        except OSError as error:
            refused.append(str(error))
    raise ImportError(
        "libpinfold.so is not found: install it (scripts/install says what the loader needs to find it), "
        "or set PINFOLD_LIBRARY to its file; tried: "
        + "; ".join(refused)
    )


waiting, quick = _load()

try:
    quick.pinfold_abi_version.restype = c_uint32
    quick.pinfold_last_message.restype = c_char_p
    quick.pinfold_version.restype = c_char_p
except AttributeError:
    raise ImportError(
        f"{waiting._name} is not pinfold's library: set PINFOLD_LIBRARY to libpinfold.so, or to nothing"
    ) from None

if quick.pinfold_abi_version() != ABI_VERSION:
    raise ImportError(
        f"this package is for version {ABI_VERSION} of pinfold's interface, and the library "
        f"({waiting._name}, {quick.pinfold_version().decode()}) has version {quick.pinfold_abi_version()}: "
        "install those of one release"
    )


def declare(signatures: dict) -> None:
    """Says what the arguments of functions are, which all return a status."""
    for name, arguments in signatures.items():
        for library in (waiting, quick):
            try:
                function = getattr(library, name)
            except AttributeError:
                raise ImportError(
                    f"the library ({waiting._name}, {quick.pinfold_version().decode()}) has no {name}: it is older "
                    "than this package: install those of one release"
                ) from None
            function.argtypes = arguments
            function.restype = c_int32


declare(SIGNATURES)


def last_message() -> str:
    """Why the last call of this thread has failed."""
    return quick.pinfold_last_message().decode(errors="replace")


def failure(status: int) -> Error:
    """The exception of a call of this thread that has just failed."""
    return error_of(status, last_message())


def check(status: int) -> None:
    """Raises if a call of this thread has failed."""
    if status:
        raise failure(status)
