"""Forks, signals, ends of the interpreter."""

import multiprocessing
import os
import signal
import subprocess
import sys
import unittest

from support import PLUGIN, WithRuntime, pinfold

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

        def child():
            told = 0
            for call in (
                lambda: self.rt.submit("echo", b"child's").result(),
                lambda: list(self.rt.map("echo", [b"child's"])),
                lambda: self.rt.functions(),
            ):
                try:
                    call()
                except pinfold.Error:
                    told += 1
            try:
                pending.result(10)
            except (pinfold.Error, TimeoutError):
                pass
            self.rt.close()
            return told >= 2

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


class Ends(unittest.TestCase):
    def run_alone(self, program):
        program = f"import sys; sys.path.insert(0, {HERE!r})\nfrom support import MORE, PLUGIN, pinfold\n{program}"
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

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

    def test_a_missing_library_is_told(self):
        program = f"import sys; sys.path.insert(0, {os.path.dirname(HERE)!r}); import pinfold"
        environment = {**os.environ, "PINFOLD_LIBRARY": "/nowhere/libpinfold.so"}
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment
        )
        self.assertIn("ImportError", ended.stderr)
        self.assertIn("/nowhere/libpinfold.so", ended.stderr)


if __name__ == "__main__":
    unittest.main()
