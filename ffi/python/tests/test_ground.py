"""Forks, signals, ends of the interpreter."""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import unittest
import uuid

from support import MORE, PLUGIN, WithRuntime, pinfold

HERE = os.path.dirname(os.path.abspath(__file__))


def in_a_child(run):
    """Forks; ``run`` decides how the child ends. True: with 0, and in time."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            os._exit(0 if run() else 1)
        except BaseException:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def echo_of(data):
    return data


class Forks(WithRuntime):
    def test_a_child_is_told_and_hangs_nowhere(self):
        pending = self.rt.submit("echo", b"parent's")
        watched = self.rt.submit("echo", b"watched")
        watched.add_done_callback(lambda _: None)
        more = pinfold.Runtime(MORE, workers=1, on_free="abort")
        self.addCleanup(more.close)
        forever, watched_forever, buffer = more.submit("forever"), more.submit("forever"), self.rt.buffer(8)
        watched_forever.add_done_callback(lambda _: None)

        def child():
            told = 0
            for call in (
                lambda: self.rt.submit("echo", b"child's").result(),
                lambda: list(self.rt.map("echo", [b"child's"])),
                lambda: forever.result(),
                lambda: watched_forever.result(),
                lambda: [one.result() for one in concurrent.futures.as_completed([forever, watched_forever])],
                lambda: self.rt.submit("echo", buffers=[buffer]).result(),
                lambda: self.rt.submit("echo", after=[forever]).result(),
                lambda: self.rt.buffer(8),
            ):
                try:
                    call()
                except pinfold.Error:
                    told += 1
            concurrent.futures.wait([pending, watched])
            pending.cancel()
            self.rt.close()
            return told == 8

        self.assertTrue(in_a_child(child))
        self.assertEqual(pending.result(60), b"parent's")
        self.assertEqual(watched.result(60), b"watched")
        self.assertEqual(self.rt.submit("echo", b"on").result(60), b"on")

    def test_a_child_may_have_a_runtime_of_its_own(self):
        def child():
            with pinfold.Runtime(PLUGIN, workers=1) as own:
                return own.submit("echo", b"own").result(60) == b"own"

        self.assertTrue(in_a_child(child))
        self.assertEqual(self.rt.submit("echo", b"on").result(60), b"on")

    def test_multiprocessing_by_fork_leaves_the_runtime_alone(self):
        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool:
            self.assertEqual(pool.map(echo_of, range(20)), list(range(20)))
        self.assertEqual(self.rt.submit("echo", b"on").result(60), b"on")


def marked(mark):
    """The processes that were started with a variable in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read():
                    found.append(int(name))
        except OSError:
            pass  # it has ended, or is somebody else's
    return found


class Ends(unittest.TestCase):
    def run_alone(self, program, **how):
        """Runs a program, and sees that no process of it is left."""
        mark = f"PINFOLD_TEST_MARK={uuid.uuid4()}"
        program = f"import sys; sys.path.insert(0, {HERE!r})\nfrom support import MORE, PLUGIN, pinfold\n{program}"
        environment = dict(os.environ, **dict([mark.split("=")]))
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, **how
        )
        until = time.monotonic() + 60
        while marked(mark.encode()) and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(marked(mark.encode()), [])
        return ended

    def assert_says(self, ended, said):
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, said, ""))

    def test_an_interpreter_ends_with_an_open_runtime(self):
        ended = self.run_alone(
            "rt = pinfold.Runtime(PLUGIN, workers=1)\n"
            "handles = [rt.submit('echo', bytes(n)) for n in (1, 9000)]\n"
            "views = [h.result() for h in handles]\n"
            "late = rt.submit('echo')\n"
            "late.add_done_callback(lambda _: None)\n"
            "print('well')\n"
        )
        self.assertEqual((ended.returncode, ended.stdout), (0, "well\n"), ended.stderr)
        self.assertEqual(ended.stderr, "")

    def test_ctrl_c_ends_a_wait(self):
        ended = self.run_alone(
            "import os, signal, threading\n"
            "rt = pinfold.Runtime(MORE, workers=1, on_free='abort')\n"
            "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            "try:\n"
            "    rt.submit('forever').result()\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted')\n"
        )
        self.assertEqual((ended.returncode, ended.stdout), (0, "interrupted\n"), ended.stderr)

    def test_ctrl_c_ends_each_kind_of_wait(self):
        ended = self.run_alone(
            "import concurrent.futures, os, signal, threading\n"
            "def interrupted(call):\n"
            "    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))\n"
            "    timer.start()\n"
            "    try:\n"
            "        call()\n"
            "    except KeyboardInterrupt:\n"
            "        print('interrupted')\n"
            "    timer.join()\n"
            "rt = pinfold.Runtime(MORE, workers=1, queue_capacity=4, on_free='abort')\n"
            "first = rt.submit('forever')\n"
            "interrupted(lambda: first.result())\n"
            "interrupted(lambda: first.exception(50))\n"
            "interrupted(lambda: concurrent.futures.wait([first]))\n"
            "interrupted(lambda: list(concurrent.futures.as_completed([first])))\n"
            "interrupted(lambda: [rt.submit('forever') for _ in range(10)])  # there is no room\n"
            "interrupted(lambda: rt.submit('forever', buffers=[rt.buffer(8)]))  # nor for this\n"
            "interrupted(lambda: next(rt.map('forever', [b'x'])))\n"
            "first.cancel(grace=0)\n"
            "print(type(first.exception(50)).__name__)\n"
        )
        self.assert_says(ended, "interrupted\n" * 7 + "Cancelled\n")

    def test_an_interpreter_ends_with_tasks_in_flight(self):
        """However the runtime was left: nothing hangs, and no process is left."""
        for settings in ("on_free='abort'", "on_free='drain_for', on_free_time=0.1"):
            ended = self.run_alone(
                f"rt = pinfold.Runtime(MORE, workers=2, {settings})\n"
                "handles = [rt.submit('forever') for _ in range(100)]\n"
                "handles[0].add_done_callback(lambda _: None)\n"
                "task = rt.task('back'); results = task.map([b'x'] * 1000)\n"
                "import threading\n"
                "threading.Thread(target=lambda: handles[1].exception(), daemon=True).start()\n"
                "print('well')\n"
            )
            self.assertEqual((ended.returncode, ended.stdout), (0, "well\n"), ended.stderr)

    def test_an_interpreter_that_is_killed_leaves_no_process(self):
        ended = self.run_alone(
            "import os\n"
            "rt = pinfold.Runtime(MORE, workers=2)\n"
            "handles = [rt.submit('forever') for _ in range(10)]\n"
            "rt.submit('back') and print('well', flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        self.assertEqual((ended.returncode, ended.stdout), (-signal.SIGKILL, "well\n"), ended.stderr)

    def test_a_runtime_in_a_cycle_ends_when_it_is_collected(self):
        ended = self.run_alone(
            "import gc, os\n"
            "def workers():\n"
            "    with open(f'/proc/self/task/{os.getpid()}/children') as file:\n"
            "        return len(file.read().split())\n"
            "rt = pinfold.Runtime(PLUGIN, workers=2)\n"
            "rt.submit('echo').result(60)\n"
            "before = workers()\n"
            "rt = None\n"
            "gc.collect()\n"
            "print(before > 0, workers())\n"
        )
        self.assert_says(ended, "True 0\n")

    def test_an_exception_in_a_callback_costs_nobody_else(self):
        ended = self.run_alone(
            "import logging, threading\n"
            "logging.disable()\n"
            "rt = pinfold.Runtime(PLUGIN, workers=1)\n"
            "told = threading.Semaphore(0)\n"
            "for _ in range(3):\n"
            "    handle = rt.submit('echo')\n"
            "    handle.add_done_callback(lambda _: 1 / 0)\n"
            "    handle.add_done_callback(lambda _: told.release())\n"
            "print([told.acquire(timeout=60) for _ in range(3)])\n"
        )
        self.assert_says(ended, "[True, True, True]\n")

    def test_a_callback_may_submit_and_close(self):
        ended = self.run_alone(
            "import threading\n"
            "rt = pinfold.Runtime(PLUGIN, workers=1)\n"
            "closed = threading.Event()\n"
            "def second(handle):\n"
            "    print(bytes(handle.result()))\n"
            "    rt.close()\n"
            "    closed.set()\n"
            "def first(handle):\n"
            "    rt.submit('echo', bytes(handle.result()) + b' and on').add_done_callback(second)\n"
            "rt.submit('echo', b'on').add_done_callback(first)\n"
            "print(closed.wait(60))\n"
        )
        self.assert_says(ended, "b'on and on'\nTrue\n")

    def test_a_new_process_by_spawn_is_told_that_it_has_no_runtime(self):
        """What multiprocessing starts afresh is passed its arguments pickled."""
        ended = self.run_alone(
            "import multiprocessing\n"
            "rt = pinfold.Runtime(PLUGIN, workers=1)\n"
            "process = multiprocessing.get_context('spawn').Process(target=print, args=(rt,))\n"
            "try:\n"
            "    process.start()\n"
            "except TypeError as error:\n"
            "    print(error)\n"
        )
        self.assertIn("a Runtime is of this process", ended.stdout, ended.stderr)


if __name__ == "__main__":
    unittest.main()
