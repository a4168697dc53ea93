"""Memory that is shared with the workers."""

from __future__ import annotations

import operator
from ctypes import byref, c_size_t, c_void_p
from typing import Any, Optional

from ._handle import Owned, view
from ._library import check, quick, waiting


class Buffer:
    """Shared memory, to be written once, and then read by any number of tasks where it lies.

    ``data`` is its memory, for ``numpy.frombuffer`` and the like: writable until it is published, which
    the first ``submit`` with it does. Views that were made before must not be written after that. The
    memory stays as long as a view or an array of it does, also after the runtime.
    """

    def __init__(self, runtime: int, length: int):
        length = operator.index(length)
        if length < 0:
            raise ValueError(f"a buffer cannot have {length} bytes")
        number, data = c_void_p(), c_void_p()
        check(waiting.pinfold_buffer_new(runtime, length, byref(number)))
        self._owner = Owned(number.value, quick.pinfold_buffer_free)
        check(quick.pinfold_buffer_data(number.value, byref(data)))
        self._data: memoryview = view(data.value or 0, length, self._owner)
        self._is_published = False

    @classmethod
    def _received(cls, number: int) -> "Buffer":
        """One that is published."""
        buffer = cls.__new__(cls)
        buffer._owner = Owned(number, quick.pinfold_buffer_free)
        data, length = c_void_p(), c_size_t()
        check(quick.pinfold_buffer_const_data(number, byref(data), byref(length)))
        buffer._data = view(data.value or 0, length.value, buffer._owner).toreadonly()
        buffer._is_published = True
        return buffer

    @property
    def data(self) -> memoryview:
        """Its memory; read-only once it is published."""
        return self._data

    def __len__(self) -> int:
        return len(self._data)

    def __reduce__(self) -> Any:
        raise TypeError("a Buffer is of this process, and cannot be copied or pickled: its data can")

    def publish(self) -> "Buffer":
        """Ends its writing, and returns it. Once more does nothing."""
        if not self._is_published:
            check(quick.pinfold_buffer_publish(self._owner.number))
            self._is_published = True
            self._data = self._data.toreadonly()
        return self

    def _number(self) -> Optional[Any]:
        return self.publish()._owner.number
