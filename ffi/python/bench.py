"""What a call costs in Python, beside ProcessPoolExecutor; and what a large array costs.

    cc -shared -fPIC -I ffi/include ffi/examples/plugin.c -o plugin.so
    PINFOLD_LIBRARY=… python3 ffi/python/bench.py plugin.so [--workers N] [--seconds S]

Both have the same number of workers, warmed up, and the same function: 8 bytes in, the same bytes out.
They run in turns, a twentieth of a second or one run each, so that whatever else the machine does hits
both; each figure is the median of all turns, and so is each ratio. On a machine that has other work to
do, the CPU time of the caller says more than the rate. "Calls per second" are those of N
tasks that are submitted, one `submit` each, and whose results are asked for then, one `result` each.
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
#: Submitted, before their results are asked for.
MANY = 1000
#: How long one turn takes at least, in seconds.
TURN = 0.05


def echo(data):
    return data


def calls(submit, count):
    for handle in [submit() for _ in range(count)]:
        handle.result()


def one_by_one(submit, count):
    for _ in range(count):
        submit().result()


def as_completed(submit, count):
    for handle in concurrent.futures.as_completed([submit() for _ in range(count)]):
        handle.result()


def mapped(run, count):
    for _ in run([ARGUMENT] * count):
        pass


def turn(run, count):
    """Calls per second, so many at a time, as often as it takes; and this process's CPU time for each, in us."""
    done, begin, used = 0, time.perf_counter(), time.process_time()
    while True:
        run(count)
        done += count
        taken = time.perf_counter() - begin
        if taken >= TURN:
            return done / taken, (time.process_time() - used) / done * 1e6


def in_turns(ours, theirs, seconds, count):
    """What came of each turn of both: rates, and CPU times."""
    turns, until = [], time.perf_counter() + seconds
    while len(turns) < 5 or time.perf_counter() < until:
        turns.append(turn(ours, count) + turn(theirs, count))
    return turns


def told(what, turns):
    rates = [statistics.median(column) for column in zip(*turns)]
    ratio = statistics.median(a / b for a, _, b, _ in turns)
    cpu = statistics.median(b / a for _, a, _, b in turns)
    a, a_cpu, b, b_cpu = rates
    print(f"  {what}: {a:,.0f}/s, {b:,.0f}/s: {ratio:.1f} x; {a_cpu:.1f} us, {b_cpu:.1f} us: {cpu:.1f} x", flush=True)


def compare(plugin, workers, seconds):
    with pinfold.Runtime(plugin, workers=workers) as rt, concurrent.futures.ProcessPoolExecutor(workers) as pool:
        task = rt.task("echo")

        def ours():
            return task.submit(ARGUMENT)

        def theirs():
            return pool.submit(echo, ARGUMENT)

        calls(ours, MANY), calls(theirs, MANY)
        print(f"{workers} workers: calls of pinfold, of ProcessPoolExecutor; CPU time of the caller for each")
        for what, run, count in (
            (f"calls: {MANY} submitted, then their results", calls, MANY),
            (f"as_completed of {MANY}", as_completed, MANY),
            ("one by one", one_by_one, 100),
        ):
            told(what, in_turns(lambda n: run(ours, n), lambda n: run(theirs, n), seconds, count))
        for what, chunk in ("map", 1), ("map, against its chunksize=256", 256):
            told(what, in_turns(
                lambda n: mapped(task.map, n),
                lambda n: mapped(lambda items: pool.map(echo, items, chunksize=chunk), n),
                seconds,
                10 * MANY,
            ))  # fmt: skip


def there_and_back_of_a_pipe(task, seconds):
    """One call beside what two processes need that pass 8 bytes through pipes, there and back: the
    wake-ups of both are in it, and nothing else."""
    (read, theirs), (mine, write) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read), os.close(write)
        while os.read(mine, 8):
            os.write(theirs, ARGUMENT)
        os._exit(0)
    os.close(mine), os.close(theirs)

    def pipe(count):
        for _ in range(count):
            os.write(write, ARGUMENT)
            os.read(read, 8)

    turns = in_turns(lambda n: one_by_one(lambda: task.submit(ARGUMENT), n), pipe, seconds, 100)
    ours, floor = (statistics.median(1e6 / rate for rate in rates) for rates in list(zip(*turns))[::2])
    os.close(write), os.close(read)
    os.waitpid(child, 0)
    print(f"one by one: {ours:.1f} us; a pipe there and back {floor:.1f} us")


def there_and_back(plugin, seconds):
    """A buffer that is a numpy array goes to a worker, and its result is an array again: by size."""
    try:
        import numpy
    except ImportError:
        print("arrays: SKIPPED, numpy is not installed")
        return
    with pinfold.Runtime(plugin, workers=1) as rt:
        task = rt.task("echo")
        there_and_back_of_a_pipe(task, seconds)
        buffers = [rt.buffer(length) for length in (1 << 10, 64 << 20)]
        for buffer in buffers:
            numpy.frombuffer(buffer.data)[:] = 1.0
        times = [[], []]
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
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
    parser.add_argument("--seconds", type=float, default=3, help="for each line")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    there_and_back(options.plugin, options.seconds)
    for workers in options.workers:
        compare(options.plugin, workers, options.seconds)


if __name__ == "__main__":
    main()
