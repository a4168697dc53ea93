"""Python calls per second beside ProcessPoolExecutor, in the same run; and what a large array costs.

    cc -shared -fPIC -I ffi/include ffi/examples/plugin.c -o plugin.so
    PINFOLD_LIBRARY=… python3 ffi/python/bench.py plugin.so [--seconds S]
"""

import argparse
import concurrent.futures
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pinfold

ARGUMENT = b"12345678"
IN_FLIGHT = 256


def echo(data):
    return data


def per_second(calls, seconds):
    """``calls(n)`` does n calls."""
    n, until, done, begin = 1, time.perf_counter() + seconds, 0, time.perf_counter()
    while time.perf_counter() < until:
        calls(n)
        done += n
        n = min(n * 2, 4096)
    return done / (time.perf_counter() - begin)


def one_by_one(submit):
    def calls(n):
        for _ in range(n):
            submit().result()

    return calls


def in_flight(submit):
    def calls(n):
        for _ in range(0, n, IN_FLIGHT):
            for handle in [submit() for _ in range(min(n, IN_FLIGHT))]:
                handle.result()

    return calls


def mapped(run):
    def calls(n):
        for _ in run([ARGUMENT] * n):
            pass

    return calls


def alternately(ours, theirs, seconds, rounds=3):
    """The two medians: in turns, so that whatever else the machine does hits both."""
    rates = [(per_second(ours, seconds), per_second(theirs, seconds)) for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*rates)]


def compare(plugin, workers, seconds):
    with pinfold.Runtime(plugin, workers=workers) as rt, concurrent.futures.ProcessPoolExecutor(workers) as pool:
        task = rt.task("echo")
        list(pool.map(echo, [ARGUMENT] * 100))
        list(task.map([ARGUMENT] * 100))
        for what, ours, theirs in (
            ("submit + result, one by one", one_by_one(lambda: task.submit(ARGUMENT)),
             one_by_one(lambda: pool.submit(echo, ARGUMENT))),
            (f"submit + result, {IN_FLIGHT} in flight", in_flight(lambda: task.submit(ARGUMENT)),
             in_flight(lambda: pool.submit(echo, ARGUMENT))),
            ("map", mapped(task.map), mapped(lambda items: pool.map(echo, items))),
            ("map, chunksize 256", mapped(task.map), mapped(lambda items: pool.map(echo, items, chunksize=256))),
        ):  # fmt: skip
            a, b = alternately(ours, theirs, seconds)
            print(f"{workers} workers, {what}: {a:,.0f}/s, ProcessPoolExecutor {b:,.0f}/s: {a / b:.1f} x", flush=True)


def there_and_back(plugin, rounds=2000):
    """A buffer that is a numpy array goes to a worker, and its result is an array again: by size."""
    try:
        import numpy
    except ImportError:
        print("arrays: SKIPPED, numpy is not installed")
        return
    with pinfold.Runtime(plugin, workers=1) as rt:
        task = rt.task("echo")
        buffers = [rt.buffer(length) for length in (1 << 10, 64 << 20)]
        for buffer in buffers:
            numpy.frombuffer(buffer.data)[:] = 1.0
        times = [[], []]
        for _ in range(rounds):
            for buffer, taken in zip(buffers, times):
                begin = time.perf_counter()
                back = numpy.frombuffer(task.submit(buffers=[buffer]).result())
                taken.append(time.perf_counter() - begin)
                assert back[-1] == 1.0 and back.nbytes == len(buffer)
        small, large = (statistics.median(taken) * 1e6 for taken in times)
        print(f"array there and back: 1 KiB {small:.1f} us, 64 MiB {large:.1f} us: {large / small:.2f} x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plugin")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure and round")
    options = parser.parse_args()
    there_and_back(options.plugin)
    for workers in (1, 2):
        compare(options.plugin, workers, options.seconds)


if __name__ == "__main__":
    main()
