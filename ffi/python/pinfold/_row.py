"""Handles of tasks, beside each other.

What is dear in Python is each call of the library. So the handles of a task lie in rows, in the order
in which they were submitted, and whoever asks for the result of one gets, in the same call, those of its
neighbours that have ended too: they are found here when they are asked for.

    handles:  [ n n n n n n n . . . ]      of the library, which keeps what they have
    results:  [ v v . v v . . . . . ]      those that were copied: a few bytes each

The handles of a row are freed together, when nobody has any of it any more.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any, List, Optional, Tuple

from ._library import OK, SLICE, TIMED_OUT, quick, waiting

#: Handles in a row.
LENGTH = 64
#: So many bytes are copied in one call. A longer result stays where it is.
COPIED = 4096

_copy = quick.pinfold_handle_copy_many
_wait_and_copy = waiting.pinfold_handle_copy_many
_Handles = ctypes.c_void_p * LENGTH


def _new_place() -> Tuple[Any, ...]:
    lengths = (ctypes.c_size_t * LENGTH)()
    done = ctypes.c_size_t()
    copied = ctypes.create_string_buffer(COPIED)
    return (copied, lengths, done, *map(ctypes.addressof, (copied, lengths, done)))


#: Memory for what a call copies, and its addresses. A call has one alone: it may be interrupted by a
#: signal's handler, or a finalizer, which makes another.
_spare: List[Tuple[Any, ...]] = []


class Row:
    """Handles of tasks that were submitted one after the other, to the same runtime."""

    __slots__ = ("handles", "address", "results", "next", "runtime")

    def __init__(self, runtime: Any):
        self.handles = _Handles()
        self.address = ctypes.addressof(self.handles)
        self.results: List[Optional[memoryview]] = [None] * LENGTH
        #: The index of the next one; ``LENGTH`` or more if it is full. No two calls have the same.
        self.next = itertools.count().__next__
        self.runtime = runtime

    # What they call is bound to them: they are called when the interpreter ends, too.
    def __del__(self, free_many: Any = quick.pinfold_handle_free_many) -> None:
        free_many(self.address, LENGTH)

    def free(self, index: int, free_one: Any = quick.pinfold_handle_free) -> None:
        """Nobody asks for this one any more."""
        number = self.handles[index]
        if number:
            self.handles[index] = None
            free_one(number)

    def fill(self, index: int, timeout: int = SLICE) -> int:
        """Waits so many ns, and has the result of one here, and of some next to it. The status of the call."""
        results, handles = self.results, self.handles
        try:
            place = _spare.pop()
        except IndexError:
            place = _new_place()
        copied, lengths, done, copied_at, lengths_at, done_at = place
        at = self.address + 8 * index
        count, status = 1, TIMED_OUT
        if index + 1 < LENGTH and handles[index + 1] and results[index + 1] is None:
            count = LENGTH - index
        # If others were submitted since, it has probably ended. Then no other thread of Python needs
        # to be let in between.
        if count > 1 or timeout == 0:
            status = _copy(at, count, 0, copied_at, COPIED, lengths_at, done_at)
        if status == TIMED_OUT and timeout:
            status = _wait_and_copy(at, count, timeout, copied_at, COPIED, lengths_at, done_at)
        if status == OK:
            count = done.value
            if count == 1:
                results[index] = memoryview(copied[: lengths[0]])
            else:
                each = lengths[:count]
                view, begin = memoryview(copied[: sum(each)]), 0
                for length in each:
                    end = begin + length
                    results[index] = view[begin:end]
                    begin = end
                    index += 1
        _spare.append(place)
        return status
