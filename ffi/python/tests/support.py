"""What the tests share: plugins, compiled here, and a runtime for each test."""

import gc
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FFI = os.path.join(HERE, "..", "..")

sys.path.insert(0, os.path.join(HERE, ".."))

import pinfold  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None

_directory = tempfile.TemporaryDirectory()


def compiled(source):
    """The plugin of a source in C."""
    plugin = os.path.join(_directory.name, os.path.basename(source) + ".so")
    include = os.path.join(FFI, "include")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-I", include, source, "-o", plugin], check=True)
    return plugin


PLUGIN = compiled(os.path.join(FFI, "examples", "plugin.c"))
MORE = compiled(os.path.join(HERE, "more.c"))
needs_numpy = unittest.skipUnless(numpy, "numpy is not installed")


class WithRuntime(unittest.TestCase):
    """Each test has a runtime of its own."""

    plugin = PLUGIN

    def setUp(self):
        self.rt = pinfold.Runtime(self.plugin, workers=2, on_free="abort")

    def tearDown(self):
        self.rt.close()
        gc.collect()
