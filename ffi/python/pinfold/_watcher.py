"""The thread that tells futures of their tasks' end, if anybody has asked to be told."""

from __future__ import annotations

import select
import threading
from ctypes import byref, c_int32, c_size_t, c_uint64, c_void_p
from typing import Any, Dict

from ._library import OK, check, quick

#: How long the thread stays with nothing to do, in ms.
_IDLE = 5000
#: So many handles are told in a row.
_AT_ONCE = 256


class Watcher:
    """Watches handles. Its thread begins with the first, and ends when there has been none for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: Dict[int, Any] = {}
        self._last = 0
        self._events: Any = None
        self._has_thread = False

    def watch(self, handle: Any) -> None:
        """Has it told when its task ends."""
        with self._lock:
            if self._events is None:
                events = c_void_p()
                check(quick.pinfold_events_new(byref(events)))
                self._events = events.value
            self._last += 1
            token = self._last
            self._watched[token] = handle
            try:
                if not self._has_thread:
                    threading.Thread(target=self._run, name="pinfold-watcher", daemon=True).start()
                    self._has_thread = True
                check(quick.pinfold_events_add(self._events, handle._number, token))
            except BaseException:
                del self._watched[token]
                raise

    def forget(self) -> None:
        """In a child that was forked off: there is no thread, and its handles are not watched."""
        for handle in list(self._watched.values()):
            handle._lock = None
        self._watched.clear()

    def _run(self) -> None:
        descriptor, count = c_int32(), c_size_t()
        tokens = (c_uint64 * _AT_ONCE)()
        check(quick.pinfold_events_fd(self._events, byref(descriptor)))
        poll = select.poll()
        poll.register(descriptor.value, select.POLLIN)
        while True:
            ready = poll.poll(_IDLE)
            while quick.pinfold_events_next_many(self._events, tokens, _AT_ONCE, byref(count)) == OK:
                with self._lock:
                    ended = [self._watched.pop(token, None) for token in tokens[: count.value]]
                for handle in ended:
                    if handle is not None:
                        handle._tell()
                del ended, handle
            with self._lock:
                if not ready and not self._watched:
                    self._has_thread = False
                    return

    def __del__(self) -> None:
        if self._events is not None:
            quick.pinfold_events_free(self._events)
