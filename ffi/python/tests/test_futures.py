"""Handles are futures: of concurrent.futures, and for asyncio."""

import asyncio
import concurrent.futures
import threading
import unittest
from random import Random

from support import MORE, WithRuntime, pinfold


class Futures(WithRuntime):
    def test_wait_and_as_completed(self):
        handles = [self.rt.submit("echo", str(i).encode()) for i in range(200)]
        done, not_done = concurrent.futures.wait(handles, timeout=60)
        self.assertEqual((len(done), len(not_done)), (200, 0))
        handles = [self.rt.submit("echo", str(i).encode()) for i in range(200)]
        results = [int(bytes(h.result())) for h in concurrent.futures.as_completed(handles, timeout=60)]
        self.assertEqual(sorted(results), list(range(200)))

    def test_wait_for_the_first_failure(self):
        handles = [self.rt.submit("crash"), self.rt.submit("echo")]
        done, _ = concurrent.futures.wait(handles, 60, concurrent.futures.FIRST_EXCEPTION)
        self.assertIn(handles[0], done)

    def test_wait_counts_those_that_had_ended_before(self):
        first = self.rt.submit("echo")
        first.result()
        second = self.rt.submit("echo")
        done, _ = concurrent.futures.wait([first, second], timeout=60)
        self.assertEqual(done, {first, second})

    def test_callbacks_are_called_once_each(self):
        called = []
        event = threading.Event()
        handle = self.rt.submit("echo", b"x")
        handle.add_done_callback(lambda h: called.append(bytes(h.result())))
        handle.add_done_callback(lambda h: event.set())
        self.assertTrue(event.wait(60))
        handle.add_done_callback(lambda h: called.append(b"at once"))
        self.assertEqual(called, [b"x", b"at once"])

    def test_asyncio_waits_for_many(self):
        async def all_of_them():
            handles = [self.rt.submit("echo", str(i).encode()) for i in range(50)]
            results = await asyncio.gather(*map(asyncio.wrap_future, handles))
            return [int(bytes(result)) for result in results]

        self.assertEqual(asyncio.run(all_of_them()), list(range(50)))

        async def one_that_fails():
            await asyncio.wrap_future(self.rt.submit("crash"))

        with self.assertRaises(pinfold.WorkerDied):
            asyncio.run(one_that_fails())

    def test_several_threads_ask_for_one_result(self):
        for _ in range(50):
            handle = self.rt.submit("echo", b"x" * 5000)
            seen = []
            threads = [threading.Thread(target=lambda: seen.append(len(handle.result(60)))) for _ in range(4)]
            for thread in threads:
                thread.start()
            concurrent.futures.wait([handle], timeout=60)
            for thread in threads:
                thread.join()
            self.assertEqual(seen, [5000] * 4)

    def test_threads_submit_at_once(self):
        def many(base):
            for i in range(200):
                data = str(base + i).encode()
                self.assertEqual(self.rt.submit("echo", data).result(), data)
            return base

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            self.assertEqual(list(threads.map(many, (0, 1000, 2000, 3000))), [0, 1000, 2000, 3000])

    def test_threads_ask_for_the_same_in_all_ways_at_once(self):
        """The rows that handles lie in are everybody's: whoever asks, and however, has the right ones."""
        data = [b"%d" % i * (1 if i % 5 else 2000) for i in range(400)]
        handles = [self.rt.submit("echo", one) for one in data]
        whose = dict(zip(handles, data))

        def asks(seed):
            random = Random(seed)
            order = random.sample(handles, len(handles))
            wrong = 0
            for handle in order[:200]:
                way = random.randrange(4)
                if way == 0:
                    concurrent.futures.wait([handle], timeout=60)
                elif way == 1:
                    handle.add_done_callback(lambda done: done.result())
                elif way == 2:
                    handle.done()
                wrong += handle.result(60) != whose[handle]
            for handle in concurrent.futures.as_completed(order[200:], timeout=60):
                wrong += handle.result() != whose[handle]
            return wrong

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            self.assertEqual(list(threads.map(asks, range(4))), [0] * 4)

    def test_what_nobody_asks_for_runs_and_leaves_nothing(self):
        for _ in range(3000):
            self.rt.submit("echo", b"x")
        self.assertEqual(self.rt.submit("echo", b"last").result(60), b"last")

    def test_cancel(self):
        with pinfold.Runtime(MORE, workers=1, on_free="abort") as rt:
            runs, waits = rt.submit("forever"), rt.submit("forever")
            waits.cancel()
            with self.assertRaises(concurrent.futures.CancelledError):
                waits.result(60)
            self.assertTrue(waits.cancelled() and waits.cancel())
            runs.cancel(grace=0.01)
            self.assertIsInstance(runs.exception(60), pinfold.Cancelled)

            async def cancelled():
                future = asyncio.wrap_future(rt.submit("forever"))
                asyncio.get_running_loop().call_later(0.01, future.cancel)
                await future

            with self.assertRaises(asyncio.CancelledError):
                asyncio.run(cancelled())

    def test_states(self):
        handle = self.rt.submit("echo")
        self.assertIsNone(handle.exception(60))
        self.assertTrue(handle.done())
        self.assertFalse(handle.running() or handle.cancelled() or handle.cancel())
        self.assertIn("done", repr(handle))
        self.assertIsInstance(handle, concurrent.futures.Future)


if __name__ == "__main__":
    unittest.main()
