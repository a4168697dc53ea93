# pinfold's Python package beside ProcessPoolExecutor, and arrays of numpy that go to a worker and back.
# Each line of the input is an order, each line of the output its numbers.
#
#     face.py PACKAGE LIBRARY WORKER_PROGRAM PLUGIN

import concurrent.futures
import os
import statistics
import sys
import time

package, os.environ["PINFOLD_LIBRARY"], os.environ["PINFOLD_WORKER"], plugin = sys.argv[1:]
sys.path.insert(0, package)
sys.dont_write_bytecode = True

ARGUMENT = b"12345678"
SMALL, LARGE = 1 << 10, 64 << 20
#: Submitted, before their results are asked for.
MANY = 1000


def echo(data):
    return data


def calls(submit, count):
    begin = time.perf_counter()
    for _ in range(count // MANY):
        for handle in [submit() for _ in range(MANY)]:
            assert len(handle.result()) == 8
    return count / (time.perf_counter() - begin) / 1e3


def one(submit, count):
    begin = time.perf_counter()
    for _ in range(count):
        assert len(submit().result()) == 8
    return count / (time.perf_counter() - begin) / 1e3


def arrays(times):
    """Median microseconds of each size, which take turns, and their ratio."""
    import numpy

    taken = {SMALL: [], LARGE: []}
    # The first maps pages that were not.
    for _ in range(1 + times):
        for buffer in buffers:
            begin = time.perf_counter()
            back = numpy.frombuffer(alone.submit(buffers=[buffer]).result())
            taken[len(buffer)].append((time.perf_counter() - begin) * 1e6)
            assert back[0] == back[-1] == 1.0 and back.nbytes == len(buffer)
    small, large = (statistics.median(taken[size][1:]) for size in (SMALL, LARGE))
    return f"{small} {large} {large / small}"


def ready():
    """Whether there is a numpy: 1 or 0."""
    global alone, buffers
    try:
        import numpy
    except ImportError:
        return 0
    runtime = pinfold.Runtime(plugin, workers=1)
    alone = runtime.task("echo")
    buffers = [runtime.buffer(size) for size in (SMALL, LARGE)]
    for buffer in buffers:
        numpy.frombuffer(buffer.data)[:] = 1.0
    return 1


def main():
    with pinfold.Runtime(plugin, workers=2) as rt, concurrent.futures.ProcessPoolExecutor(2) as executor:
        task = rt.task("echo")
        submits = {
            "ours": lambda: task.submit(ARGUMENT),
            "executor": lambda: executor.submit(echo, ARGUMENT),
        }
        for submit in submits.values():
            submit().result()
        for line in sys.stdin:
            what, *words = line.split()
            try:
                if what == "ready":
                    print(ready(), flush=True)
                elif what == "arrays":
                    print(arrays(int(words[0])), flush=True)
                else:
                    print({"calls": calls, "one": one}[what](submits[words[0]], int(words[1])), flush=True)
            except Exception as error:
                print("!", type(error).__name__, error, flush=True)


try:
    import pinfold
except Exception as error:
    for _ in sys.stdin:
        print("!", type(error).__name__, error, flush=True)
else:
    main()
