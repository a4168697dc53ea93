"""The thread that tells futures of their tasks' end, if anybody has asked to be told."""

from __future__ import annotations

import threading
from typing import Any, List

from ._library import waiting

#: How long it waits for one task before it looks at the others, in ns.
_TURN = 500_000
#: How long the thread stays with nothing to do, in s.
_IDLE = 5


class Watcher:
    """Watches handles. Its thread begins with the first, and ends when there has been none for a while."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._new: List[Any] = []
        self._is_there = False

    def watch(self, handle: Any) -> None:
        """Has it finish by itself when its task ends."""
        with self._change:
            self._new.append(handle)
            self._change.notify()
            if not self._is_there:
                self._is_there = True
                threading.Thread(target=self._run, name="pinfold-watcher", daemon=True).start()

    def _run(self) -> None:
        watched: List[Any] = []
        while True:
            with self._change:
                if not watched and not self._new:
                    self._change.wait(_IDLE)
                if not watched and not self._new:
                    self._is_there = False
                    return
                watched += self._new
                self._new = []
            number = watched[0]._number
            if number is not None:
                waiting.pinfold_handle_wait(number, _TURN)
            watched = [handle for handle in watched if not handle.done()]
