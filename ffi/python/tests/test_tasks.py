"""Tasks, results, failures, settings."""

import array
import concurrent.futures
import ctypes
import gc
import signal
import struct
import time
import unittest

from support import MORE, PLUGIN, WithRuntime, needs_numpy, numpy, pinfold


class Tasks(WithRuntime):
    def test_bytes_go_there_and_back_in_all_lengths(self):
        for length in (0, 1, 64, 65, 256, 257, 4096, 4097, 1 << 20):
            data = bytes(i % 251 for i in range(length))
            result = self.rt.submit("echo", data).result()
            self.assertIsInstance(result, memoryview)
            self.assertTrue(result.readonly)
            self.assertEqual(result, data)

    def test_whatever_has_bytes_in_one_piece_can_be_sent(self):
        numbers = array.array("d", [1.5, 2.5])
        task = self.rt.task("sum")
        for data in (numbers, memoryview(numbers), bytearray(numbers.tobytes())):
            self.assertEqual(struct.unpack("d", task.submit(data).result()), (4.0,))
        with self.assertRaises((BufferError, TypeError)):
            task.submit(7)
        with self.assertRaises(BufferError):
            task.submit(memoryview(b"abcdef")[::2])

    def test_functions_are_those_of_the_plugin(self):
        self.assertLessEqual({"crash", "echo", "sum"}, set(self.rt.functions()))
        with self.assertRaisesRegex(pinfold.UnknownFunction, "there are: .*echo"):
            self.rt.task("eccho")

    def test_a_failure_has_its_code_and_its_reason(self):
        with self.assertRaises(pinfold.TaskFailed) as caught:
            self.rt.submit("sum", b"123").result()
        self.assertEqual((caught.exception.code, caught.exception.status), (3, 100))
        self.assertIn("no doubles", str(caught.exception))

    def test_a_crash_costs_one_task(self):
        handle = self.rt.submit("crash")
        self.assertIsInstance(handle.exception(), pinfold.WorkerDied)
        with self.assertRaisesRegex(pinfold.TaskError, "SIGABRT"):
            handle.result()
        self.assertEqual(self.rt.submit("echo", b"on").result(), b"on")

    def test_a_task_that_may_be_repeated_is(self):
        with self.assertRaises(pinfold.Poison):
            self.rt.task("crash", attempts=2).submit().result()

    def test_a_task_reads_the_results_of_others(self):
        with pinfold.Runtime(MORE, workers=2) as rt:
            task = rt.task("together")
            none = task.submit()
            one = task.submit(after=[none])
            self.assertEqual(task.submit(after=[one, none, one]).result(), b"")
        task = self.rt.task("echo")
        self.assertEqual(task.submit(b"later", after=[task.submit(b"x")]).result(), b"later")
        with self.assertRaises(pinfold.DependencyFailed):
            task.submit(after=[self.rt.submit("crash")]).result()

    def test_a_task_reads_results_that_were_asked_for_before(self):
        with pinfold.Runtime(MORE, workers=2) as rt:
            echo, together = rt.task("back"), rt.task("together")
            few, many = echo.submit(b"few"), echo.submit(b"m" * 10_000)
            self.assertEqual(few.result(), b"few")
            self.assertEqual(len(many.result()), 10_000)
            after = together.submit(after=[few, many, few])
            self.assertEqual(after.result(), b"few" + b"m" * 10_000 + b"few")
            failed = rt.task("forever", run_limit=0.01).submit()
            self.assertIsInstance(failed.exception(60), pinfold.DeadlineExceeded)
            self.assertIsInstance(together.submit(after=[failed]).exception(60), pinfold.DependencyFailed)

    def test_results_are_each_their_own_in_whatever_order(self):
        """They come in rows: a few bytes, many, none, and failures among each other."""
        task = self.rt.task("echo")
        fails = self.rt.task("sum")
        lengths = [0, 1, 8, 64, 65, 300, 4095, 4096, 4097, 50_000]
        for order in (list, lambda all_: list(reversed(all_)), lambda all_: all_[1::2] + all_[::2]):
            data = [bytes([i % 256]) * lengths[i % len(lengths)] for i in range(200)]
            handles = []
            for i, one in enumerate(data):
                handles.append((task.submit(one), one))
                if i % 17 == 3:
                    fails.submit(b"1")
                    handles.append((fails.submit(b"123"), None))
            for handle, one in order(handles):
                if one is None:
                    self.assertEqual(handle.exception(60).code, 3)
                else:
                    self.assertEqual(handle.result(60), one)
            for handle, one in handles:  # and once more
                if one is not None:
                    self.assertEqual(handle.result(), one)

    def test_a_handle_that_nobody_has_gives_back_its_memory(self):
        """As long as its neighbours are there, only a few bytes of it stay."""
        with pinfold.Runtime(PLUGIN, workers=1, memory_cap=64 << 20) as rt:
            first = rt.submit("echo", b"first")
            for _ in range(60):
                rt.submit("echo", bytes(4 << 20)).exception(60)
                rt.submit("echo", bytes(4 << 20))
            self.assertEqual(first.result(60), b"first")

    def test_a_call_within_a_call_has_results_of_its_own(self):
        """A signal's handler, or a finalizer, may ask for results anywhere."""
        task = self.rt.task("echo")

        def handler(*_):
            handles = [task.submit(b"inner") for _ in range(3)]
            seen.append([bytes(handle.result(60)) for handle in handles])

        seen = []
        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            until = time.monotonic() + 60
            while len(seen) < 50 and time.monotonic() < until:
                handles = [task.submit(b"%d" % i) for i in range(100)]
                self.assertEqual([int(bytes(handle.result(60))) for handle in handles], list(range(100)))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertGreaterEqual(len(seen), 50)
        self.assertEqual({one for some in seen for one in some}, {b"inner"})

    def test_settings_go_by_their_names(self):
        with self.assertRaisesRegex(TypeError, "no setting 'tries'; there are: .*attempts"):
            self.rt.task("echo", tries=3)
        with self.assertRaisesRegex(ValueError, "urgent"):
            self.rt.task("echo", priority="high")
        task = self.rt.task("echo", priority="urgent", name="one of many", run_limit=30, retry_jitter=True)
        self.assertEqual(task.submit(b"x").result(), b"x")

    def test_a_broadcast_is_once_in_each_worker(self):
        task = self.rt.task("echo")
        handles = task.broadcast(b"abc")
        self.assertEqual([bytes(handle.result(60)) for handle in handles], [b"abc"] * len(handles))
        self.assertEqual(len(handles), len(self.rt.stats()["workers"]))
        self.assertEqual(self.rt.audit()["orphans"], [])

    def test_map_yields_in_order(self):
        items = [str(i).encode() for i in range(3000)]
        self.assertEqual([bytes(result) for result in self.rt.map("echo", items)], items)
        self.assertEqual(list(self.rt.map("echo", [])), [])
        long = [b"a" * length for length in (0, 70_000, 5, 200_000, 65_536, 3)]
        self.assertEqual([bytes(result) for result in self.rt.map("echo", long, batch=4)], long)

    def test_map_raises_where_the_result_would_be(self):
        good = struct.pack("d", 1)
        results = self.rt.map("sum", [good, good, b"bad", good])
        self.assertEqual(next(results), good)
        self.assertEqual(next(results), good)
        with self.assertRaises(pinfold.TaskFailed) as caught:
            next(results)
        self.assertEqual(caught.exception.code, 3)
        with pinfold.Runtime(PLUGIN, workers=1, memory_cap=16 << 20) as rt:
            results = rt.map("echo", [good, bytes(64 << 20), good])
            self.assertEqual(next(results), good)
            with self.assertRaises(pinfold.TooLarge):
                next(results)
        with pinfold.Runtime(PLUGIN, workers=1, queue_capacity=4) as rt:
            self.assertEqual(list(rt.map("echo", [good] * 1000)), [good] * 1000)
        unfinished = self.rt.map("echo", [b"x"] * 5000)
        next(unfinished)
        del unfinished
        gc.collect()

    def test_a_task_that_takes_too_long_is_ended(self):
        with pinfold.Runtime(MORE, workers=1) as rt:
            handle = rt.task("forever", run_limit=0.05).submit()
            with self.assertRaises(pinfold.DeadlineExceeded):
                handle.result(60)
            late = rt.submit("forever")
            with self.assertRaises(concurrent.futures.TimeoutError):
                late.result(0.05)
            self.assertFalse(late.done())

    @needs_numpy
    def test_an_array_goes_there_and_back(self):
        values = numpy.arange(100_000, dtype=float)
        back = numpy.frombuffer(self.rt.submit("echo", values).result())
        self.assertTrue((back == values).all())
        self.assertFalse(back.flags.writeable)

    def test_a_buffer_is_not_copied(self):
        buffer = self.rt.buffer(1 << 20)
        self.assertEqual((len(buffer), buffer.data.readonly), (1 << 20, False))
        buffer.data[:8] = struct.pack("d", 2.5)
        buffer.data[8:] = bytes(len(buffer) - 8)
        tasks = [self.rt.submit("sum", buffers=[buffer]) for _ in range(10)]
        self.assertEqual({struct.unpack("d", task.result()) for task in tasks}, {(2.5,)})
        self.assertTrue(buffer.data.readonly)
        back = self.rt.submit("echo", buffers=[buffer]).result()
        self.assertEqual(back, buffer.data)
        # It is the same memory.
        address = ctypes.c_ubyte * 1
        same = [ctypes.addressof(address.from_buffer(view.obj)) for view in (back, buffer.data)]
        self.assertEqual(same[0], same[1])
        with self.assertRaises(pinfold.Error):
            self.rt.buffer(1 << 60)

    def test_a_buffer_of_another_runtime_is_refused(self):
        with pinfold.Runtime(PLUGIN, workers=1) as other:
            with self.assertRaises(pinfold.Error):
                self.rt.submit("sum", buffers=[other.buffer(8)]).result()

    @needs_numpy
    def test_an_array_of_a_buffer_keeps_its_memory(self):
        values = numpy.frombuffer(self.rt.buffer(800_000).data)
        values[:] = 1.5
        gc.collect()
        others = [numpy.frombuffer(self.rt.buffer(800_000).data) for _ in range(10)]
        for other in others:
            other[:] = 7
        self.rt.close()
        self.assertTrue((values == 1.5).all())

    @needs_numpy
    def test_a_result_lives_as_long_as_an_array_of_it(self):
        values = numpy.arange(100_000, dtype=float)
        back = numpy.frombuffer(self.rt.submit("echo", values).result())[10:]
        gc.collect()
        # What was freed would be written over by these.
        for _ in range(20):
            self.rt.submit("echo", bytes(800_000)).result()
        self.rt.close()
        self.assertTrue((back == values[10:]).all())


class Starts(unittest.TestCase):
    def test_what_is_no_plugin_is_told(self):
        with self.assertRaisesRegex(pinfold.StartFailed, "nothing.so"):
            pinfold.Runtime("nothing.so")
        with self.assertRaisesRegex(pinfold.StartFailed, "invalid ELF header"):
            pinfold.Runtime(__file__, workers=1)

    def test_a_setting_out_of_its_bounds_is_told(self):
        with self.assertRaisesRegex(pinfold.Error, "workers is 4000"):
            pinfold.Runtime(PLUGIN, workers=4000)

    def test_a_closed_runtime_accepts_nothing(self):
        with pinfold.Runtime(PLUGIN, workers=1) as rt:
            task = rt.task("echo")
            handle = task.submit(b"before")
        self.assertEqual(handle.result(), b"before")
        rt.close()
        with self.assertRaises(pinfold.Error):
            task.submit(b"after").result()
        with self.assertRaises(pinfold.Error):
            rt.task("echo")


if __name__ == "__main__":
    unittest.main()
