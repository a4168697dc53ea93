"""Sums an array in pieces, in worker processes, by the functions of plugin.c.

    cc -shared -fPIC plugin.c -o plugin.so $(pkg-config --cflags pinfold)
    pip install ./ffi/python
    python3 numpy_sum.py ./plugin.so
"""

import concurrent.futures
import sys

import numpy as np
import pinfold


def main(plugin):
    values = np.arange(1_000_000, dtype=np.float64)
    with pinfold.Runtime(plugin, workers=2) as rt:
        print("the plugin has:", ", ".join(rt.functions()))

        # Each piece is a task; its result is 8 bytes of the worker's.
        task = rt.task("sum", attempts=2)
        handles = [task.submit(piece) for piece in np.array_split(values, 10)]
        total = 0.0
        for handle in concurrent.futures.as_completed(handles):
            total += np.frombuffer(handle.result())[0]
        print("sum:", total)

        # A buffer lies in shared memory: it goes to a worker, and back, without a copy.
        buffer = rt.buffer(values.nbytes)
        np.frombuffer(buffer.data)[:] = values
        back = np.frombuffer(rt.submit("echo", buffers=[buffer]).result())
        print("back again:", back.shape, "writable:", back.flags.writeable)

        # A crash costs one task, and is an exception here.
        try:
            rt.submit("crash").result()
        except pinfold.WorkerDied as error:
            print("crash:", error)
    return 0 if total == values.sum() and (back == values).all() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
