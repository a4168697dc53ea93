# Python's pools of processes: empty tasks, one task's latency, memory.
# Each line of the input is an order, each line of the output its numbers.

import concurrent.futures
import multiprocessing
import os
import sys
import time


def inc(n):
    return n + 1


def rate(tasks, results, start):
    seconds = time.perf_counter() - start
    assert sum(results) == tasks * (tasks + 1) // 2
    return tasks / seconds / 1e6


def single_executor(tasks):
    start = time.perf_counter()
    futures = [executor.submit(inc, n) for n in range(tasks)]
    return rate(tasks, [future.result() for future in futures], start)


def single_pool(tasks):
    start = time.perf_counter()
    futures = [pool.apply_async(inc, (n,)) for n in range(tasks)]
    return rate(tasks, [future.get() for future in futures], start)


def batch_executor(tasks):
    start = time.perf_counter()
    return rate(tasks, list(executor.map(inc, range(tasks), chunksize=256)), start)


def batch_pool(tasks):
    start = time.perf_counter()
    return rate(tasks, pool.map(inc, range(tasks), chunksize=256), start)


def batch_joblib(tasks):
    from joblib import Parallel, delayed

    start = time.perf_counter()
    return rate(tasks, parallel_joblib(Parallel, delayed, tasks), start)


def parallel_joblib(Parallel, delayed, tasks):
    # Its workers stay between calls; it chooses the size of a batch itself.
    return Parallel(n_jobs=2)(delayed(inc)(n) for n in range(tasks))


def latency(count, idle):
    times = []
    for _ in range(count):
        if idle:
            time.sleep(idle)
        start = time.perf_counter()
        assert executor.submit(inc, 1).result() == 2
        times.append((time.perf_counter() - start) * 1e6)
    return times


def kib(pid, file, name):
    with open(f"/proc/{pid}/{file}") as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return float(line.split()[1])
    raise LookupError(name)


def workers_pss():
    """KiB of each worker, after each has run something."""
    list(executor.map(inc, range(1000)))
    pids = list(executor._processes)
    return sum(kib(pid, "smaps_rollup", "Pss") for pid in pids) / len(pids)


def bytes_per_pending(tasks):
    """While both workers are busy; what waits is in this process alone."""
    busy = [executor.submit(time.sleep, 0.5 + tasks / 20000) for _ in range(2)]
    before = kib("self", "status", "RssAnon")
    futures = [executor.submit(inc, n) for n in range(tasks)]
    grown = kib("self", "status", "RssAnon") - before
    assert not any(task.done() for task in busy)
    for future in futures:
        future.cancel()
    concurrent.futures.wait(busy)
    return grown * 1024 / tasks


ORDERS = {
    "single_executor": lambda tasks: [single_executor(int(tasks))],
    "single_pool": lambda tasks: [single_pool(int(tasks))],
    "batch_executor": lambda tasks: [batch_executor(int(tasks))],
    "batch_pool": lambda tasks: [batch_pool(int(tasks))],
    "batch_joblib": lambda tasks: [batch_joblib(int(tasks))],
    "latency": lambda count, idle_us: latency(int(count), float(idle_us) / 1e6),
    "pss": lambda: [workers_pss()],
    "pending": lambda tasks: [bytes_per_pending(int(tasks))],
}

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    pool = context.Pool(2)
    executor = concurrent.futures.ProcessPoolExecutor(2, mp_context=context)
    for line in sys.stdin:
        order, *arguments = line.split()
        try:
            print(*ORDERS[order](*arguments), flush=True)
        except Exception as error:
            print("!", type(error).__name__, str(error).split("\n")[0], flush=True)
    pool.terminate()
    executor.shutdown(cancel_futures=True)
