# The job of `pinfold index` on a pool of Python: hash every chunk of so many lines.
# Each line of the input is `processes lines directory`, each line of the output
# `seconds files chunks bytes`.

import hashlib
import json
import multiprocessing
import os
import sys
import time

PROBE_BYTES = 8 * 1024


def files(root):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def index(arguments):
    path, lines = arguments
    records = []
    size = 0
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return 0, 0, ""
    if b"\0" in text[:PROBE_BYTES]:
        return 0, 0, ""
    # By "\n" alone, as each chunk of bytes counts.
    every = text.split(b"\n")
    every = [line + b"\n" for line in every[:-1]] + ([every[-1]] if every[-1] else [])
    for start in range(0, len(every), lines):
        chunk = b"".join(every[start : start + lines])
        size += len(chunk)
        record = {
            "path": path,
            "start_line": start + 1,
            "end_line": start + min(lines, len(every) - start),
            "bytes": len(chunk),
            "blake2b": hashlib.blake2b(chunk, digest_size=32).hexdigest(),
        }
        records.append(json.dumps(record))
    return len(records), size, "\n".join(records)


def run(processes, lines, root):
    start = time.perf_counter()
    count = chunks = size = 0
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        work = ((path, lines) for path in files(root))
        for some, length, _ in pool.imap(index, work, chunksize=64):
            count += 1
            chunks += some
            size += length
    return time.perf_counter() - start, count, chunks, size


if __name__ == "__main__":
    for line in sys.stdin:
        processes, lines, root = line.rstrip("\n").split(" ", 2)
        try:
            print(*run(int(processes), int(lines), root), flush=True)
        except Exception as error:
            print("!", type(error).__name__, error, flush=True)
