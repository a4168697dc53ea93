"""What users get wrong at first: each is told with what was wrong, and what to do."""

import copy
import os
import pickle
import re
import subprocess
import sys
import tempfile
import unittest

from support import FFI, HERE, PLUGIN, WithRuntime, needs_numpy, numpy, pinfold

OTHER_VERSION = """
#include <pinfold.h>
#undef PINFOLD_ABI_VERSION
#define PINFOLD_ABI_VERSION 77
PINFOLD_PLUGIN { return PINFOLD_STATUS_OK; }
"""
OTHER_LIBRARY = """
unsigned pinfold_abi_version(void) { return VERSION; }
const char *pinfold_last_message(void) { return ""; }
const char *pinfold_version(void) { return "0.0.1"; }
"""


class Mistakes(WithRuntime):
    def assert_told(self, error, text, call):
        with self.assertRaisesRegex(error, text):
            call()

    def test_what_is_no_data(self):
        task = self.rt.task("echo")
        self.assert_told(TypeError, "bytes-like object is required, not 'int'", lambda: task.submit(7))
        self.assert_told(TypeError, "bytes-like object is required, not 'list'", lambda: task.submit([1, 2]))
        self.assert_told(TypeError, re.escape("encode() it"), lambda: task.submit("text"))
        self.assert_told(TypeError, r"pass it as buffers=\[buffer\]", lambda: task.submit(self.rt.buffer(8)))
        # bytes(7) would be seven of them.
        self.assert_told(TypeError, "bytes-like object is required, not 'int'", lambda: list(task.map([7])))
        self.assert_told(TypeError, "bytes-like object is required, not 'str'", lambda: list(task.map(["text"])))

    @needs_numpy
    def test_what_is_no_data_of_numpy(self):
        task = self.rt.task("echo")
        self.assert_told(ValueError, "not C-contiguous", lambda: task.submit(numpy.arange(10)[::2]))
        self.assert_told(TypeError, "list of Buffers, and there is array", lambda: task.submit(buffers=[numpy.arange(3)]))
        three = self.rt.submit("echo", b"123").result()
        self.assert_told(ValueError, "multiple of element size", lambda: numpy.frombuffer(three))

    def test_what_is_no_buffer_and_no_handle(self):
        task = self.rt.task("echo")
        self.assert_told(TypeError, r"`buffers` is a list: \[buffer\]", lambda: task.submit(buffers=self.rt.buffer(8)))
        self.assert_told(TypeError, r"`after` is a list: \[handle\]", lambda: task.submit(after=task.submit()))
        self.assert_told(TypeError, "list of Handles, and there is 7 in it", lambda: task.submit(after=[7]))
        self.assert_told(ValueError, "cannot have -1 bytes", lambda: self.rt.buffer(-1))
        self.assert_told(TypeError, "str", lambda: self.rt.buffer("8"))
        self.assert_told(TypeError, "arguments", pinfold.Handle)

    def test_what_is_no_name(self):
        self.assert_told(pinfold.UnknownFunction, "`eccho`; there are: .*echo", lambda: self.rt.submit("eccho"))
        self.assert_told(TypeError, "name of a function is a str, not b'echo'", lambda: self.rt.submit(b"echo"))

    def test_what_is_no_setting(self):
        def start(**settings):
            return lambda: pinfold.Runtime(PLUGIN, **settings)

        self.assert_told(TypeError, "no setting 'wokers'; there are: .*workers", start(wokers=1))
        self.assert_told(TypeError, "workers is a number, not '4'", start(workers="4"))
        self.assert_told(TypeError, "workers is a number, not 2.5", start(workers=2.5))
        self.assert_told(ValueError, "workers is -1", start(workers=-1))
        self.assert_told(ValueError, "workers is 0: leave it out", start(workers=0))
        self.assert_told(TypeError, "kill_grace is a number of seconds, not '1'", start(kill_grace="1"))
        for wrong in (-1, float("nan"), float("inf")):
            self.assert_told(ValueError, f"kill_grace is {wrong} seconds", start(kill_grace=wrong))
        self.assert_told(ValueError, "on_free is one of .*abort", start(on_free="now"))
        # A number would be an address in C.
        self.assert_told(TypeError, "worker_state is a text, not 3", start(worker_state=3))
        self.assert_told(TypeError, "attempts is a number, not 'x'", lambda: self.rt.task("echo", attempts="x"))
        self.assert_told(ValueError, "run_limit is -1", lambda: self.rt.task("echo", run_limit=-1))
        # No time is not the default.
        slow = self.rt.task("echo", start_deadline=0)
        self.assertIn(type(slow.submit().exception(60)), (type(None), pinfold.DeadlineExceeded))

    def test_what_cannot_leave_the_process(self):
        handle = self.rt.submit("echo")
        for one in (self.rt, self.rt.task("echo"), handle, self.rt.buffer(8)):
            self.assert_told(TypeError, "of this process", lambda: pickle.dumps(one))
            self.assert_told(TypeError, "of this process", lambda: copy.copy(one))
        self.assertEqual(handle.result(60), b"")
        # Errors can.
        error = pickle.loads(pickle.dumps(self.rt.submit("sum", b"123").exception(60)))
        self.assertEqual((type(error), error.code), (pinfold.TaskFailed, 3))

    def test_a_closed_runtime_says_so(self):
        task, handle, buffer = self.rt.task("echo"), self.rt.submit("echo", b"before"), self.rt.buffer(8)
        self.rt.submit("echo")
        self.rt.close()
        self.rt.close()
        for call in (
            lambda: self.rt.submit("echo"),
            lambda: self.rt.submit("sum"),
            lambda: self.rt.task("echo"),
            lambda: task.submit(b"after"),
            lambda: task.submit(bytearray(b"after")),
            lambda: task.submit(b"after", buffers=[buffer]).result(60),
            lambda: self.rt.buffer(8),
            lambda: self.rt.functions(),
            lambda: self.rt.__enter__(),
        ):
            self.assert_told(pinfold.Shutdown, "closed|shut down", call)
        for call in (lambda: list(task.map([b"x"])), lambda: list(self.rt.map("echo", [b"x"]))):
            self.assert_told(pinfold.Error, "closed|shut down", call)
        handle.exception(60)
        self.assertEqual(bytes(buffer.data), bytes(8))


class Places(unittest.TestCase):
    """A library, a worker program, a plugin that is missing, or is something else."""

    def compiled(self, source, *arguments):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        made = os.path.join(directory.name, "made.so")
        command = ["cc", "-shared", "-fPIC", "-I", os.path.join(FFI, "include"), *arguments, "-x", "c", "-", "-o", made]
        subprocess.run(command, input=source, text=True, check=True)
        return made

    def imported(self, **environment):
        program = f"import sys; sys.path.insert(0, {os.path.dirname(HERE)!r}); import pinfold"
        environment = {**os.environ, **environment}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    def assert_not_imported(self, library, *said):
        ended = self.imported(PINFOLD_LIBRARY=library)
        for one in ("ImportError", *said):
            self.assertIn(one, ended.stderr)

    def test_the_library(self):
        self.assert_not_imported("/nowhere/libpinfold.so", "/nowhere/libpinfold.so", "scripts/install", "PINFOLD_LIBRARY")
        self.assert_not_imported(__file__, "invalid ELF header")
        nothing = self.compiled("int nothing;")
        self.assert_not_imported(nothing, nothing, "is not pinfold's library")
        other = self.compiled(OTHER_LIBRARY, "-DVERSION=77")
        self.assert_not_imported(other, other, "0.0.1", "for version 1", "has version 77", "of one release")
        older = self.compiled(OTHER_LIBRARY, "-DVERSION=1")
        self.assert_not_imported(older, older, "0.0.1", "has no pinfold_", "older", "of one release")

    def test_the_worker_program(self):
        with self.assertRaisesRegex(pinfold.StartFailed, "/nowhere/pinfold-worker.*No such file"):
            pinfold.Runtime(PLUGIN, worker_program="/nowhere/pinfold-worker")

    def test_the_plugin(self):
        with self.assertRaisesRegex(pinfold.StartFailed, "/nothing.so.*No such file"):
            pinfold.Runtime("./nothing.so")
        with self.assertRaisesRegex(pinfold.StartFailed, "Is a directory"):
            pinfold.Runtime("/tmp")
        with self.assertRaisesRegex(pinfold.StartFailed, "invalid ELF header"):
            pinfold.Runtime(__file__)
        with self.assertRaisesRegex(pinfold.StartFailed, "77"):
            pinfold.Runtime(self.compiled(OTHER_VERSION))
        with self.assertRaisesRegex(pinfold.StartFailed, "PINFOLD_PLUGIN|pinfold_plugin"):
            pinfold.Runtime(self.compiled("int nothing;"))
        with self.assertRaises(TypeError):
            pinfold.Runtime(None)


if __name__ == "__main__":
    unittest.main()
