"""Python's own process pool: a worker is killed in the middle of a task.

For each line on standard input one recovery, made by hand as its users must: the
broken pool is noticed, a new one is made, and the task is submitted again. Prints the
microseconds from the kill to the notice and to the result.
"""

import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context


def job(path, n):
    """Busy for ever in its first attempt, which makes the file."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return n
    os.write(fd, b"%d\n" % os.getpid())
    while True:
        if sys.argv[2] == "sleeping":
            time.sleep(1)


def pid_in(path):
    try:
        with open(path, "rb") as file:
            line = file.read()
    except FileNotFoundError:
        return 0
    return int(line) if line.endswith(b"\n") else 0


def recover(path, n):
    # The quickest of its ways to start a worker.
    fork = get_context("fork")
    pool = ProcessPoolExecutor(2, mp_context=fork)
    future = pool.submit(job, path, n)
    while not (pid := pid_in(path)):
        time.sleep(0.0001)
    time.sleep(0.002)
    start = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    try:
        future.result()
        raise SystemExit("the pool did not break")
    except BrokenProcessPool:
        noticed = time.monotonic_ns()
    new = ProcessPoolExecutor(2, mp_context=fork)
    assert new.submit(job, path, n).result() == n
    end = time.monotonic_ns()
    new.shutdown()
    pool.shutdown()
    return (noticed - start) / 1e3, (end - start) / 1e3


def main():
    path = os.path.join(sys.argv[1], "attempt")
    for n, _ in enumerate(sys.stdin):
        print(*recover(path, n), flush=True)
        os.unlink(path)


main()
