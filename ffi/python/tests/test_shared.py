"""Locks and their like, broadcast channels, groups, routers, select."""

import array
import pickle
import threading
import time
import unittest

from support import MORE, WithRuntime, pinfold


class Shared(WithRuntime):
    plugin = MORE

    def number(self, handle):
        return int.from_bytes(handle.result(timeout=60), "little")

    def test_a_mutex_is_for_all_and_its_holder_may_die(self):
        mutex = self.rt.mutex(bytes(8))
        latch, countdown = self.rt.latch(3)
        handles = [self.rt.submit("objects", b"lock", objects=[mutex, countdown]) for _ in range(3)]
        latch.wait(60)
        self.assertEqual(latch.left, 0)
        self.assertFalse(countdown.count())
        for handle in handles:
            handle.result(60)
        with mutex.lock() as guard:
            self.assertEqual(bytes(guard.data), b"\x03" + bytes(7))
            self.assertFalse(guard.is_half)
            with self.assertRaises(pinfold.Deadlock):
                mutex.lock()
        with self.assertRaises(pinfold.WorkerDied):
            self.rt.submit("objects", b"die", objects=[mutex]).result(60)
        with mutex.lock(60) as guard:
            self.assertTrue(guard.is_half)
            guard.data[0] = 9
            guard.mend()
        with self.assertRaises(KeyError):
            with mutex.lock() as guard:
                self.assertFalse(guard.is_half)
                raise KeyError("in the middle")
        with mutex.lock() as guard:
            self.assertTrue(guard.is_half and guard.data[0] == 9)
            tried = []
            thread = threading.Thread(target=lambda: tried.append(self.tried(mutex)))
            thread.start()
            thread.join()
        self.assertEqual(tried, [(pinfold.Busy, pinfold.TimedOut)])
        with self.assertRaises(TypeError):
            pickle.dumps(mutex)
        with self.assertRaises(TypeError):
            self.rt.submit("objects", objects=[self.rt])

    def tried(self, mutex):
        raised = []
        for timeout in (0, 0.01):
            try:
                mutex.lock(timeout)
            except pinfold.Error as error:
                self.assertIn("the host, thread", str(error))
                raised.append(type(error))
        return tuple(raised)

    def test_readers_permits_and_groups(self):
        lock = self.rt.rwlock(b"abcd")
        with lock.read() as one, lock.read(1) as two:
            self.assertEqual(bytes(one.data), bytes(two.data))
            self.assertTrue(one.data.readonly)
        with lock.write(1) as guard:
            guard.data[:] = b"efgh"
        with lock.read(0) as guard:
            self.assertEqual(guard.data, b"efgh")
        permits = self.rt.semaphore(1)
        with permits:
            self.assertEqual(permits.available, 0)
            with self.assertRaises(pinfold.Busy):
                permits.acquire(0)
            with self.assertRaises(pinfold.TimedOut):
                permits.acquire(0.01)
        self.assertEqual(permits.available, 1)
        with self.assertRaises(pinfold.NotHeld):
            permits.release()
        with self.assertRaises(pinfold.InvalidArgument):
            self.rt.semaphore(0)
        group, member = self.rt.waitgroup()
        more = member.clone()
        member.free()
        with self.assertRaises(pinfold.TimedOut):
            group.wait(0)
        more.free()
        group.wait(60)
        mine, other = self.rt.barrier(2)
        handle = self.rt.submit("objects", b"wait", objects=[other])
        mine.wait(60)
        handle.result(60)
        with self.assertRaises(pinfold.MemberGone) as caught:
            mine.wait(60)
        self.assertEqual(caught.exception.rank, 1)

    def test_every_subscriber_gets_every_message(self):
        numbers = self.rt.broadcast(4)
        mine = numbers.subscribe()
        handle = self.rt.submit("objects", b"sum", objects=[numbers.subscribe()])
        for n in range(10):
            numbers.send(bytes([n]))
            self.assertEqual(bytes(mine.recv(60)), bytes([n]))
        self.assertEqual(len(mine), 0)
        with self.assertRaises(pinfold.Empty):
            mine.recv(0)
        numbers.free()
        self.assertEqual(list(mine), [])
        self.assertEqual(self.number(handle), 45)
        prices = self.rt.broadcast(2, overflow="drop_oldest")
        slow = prices.subscribe()
        for n in range(5):
            prices.send(bytes([n]))
        with self.assertRaises(pinfold.Lagged) as caught:
            slow.recv()
        self.assertEqual((caught.exception.count, slow.lagged), (3, 3))
        self.assertEqual(bytes(slow.recv()), b"\x03")
        slow.close()
        with self.assertRaises(pinfold.Disconnected):
            prices.send(b"")

    def test_members_do_something_together(self):
        mine, other = self.rt.collective(2)
        handle = self.rt.submit("objects", b"member", objects=[other])
        values = array.array("Q", [41])
        mine.all_reduce(values, "sum")
        self.assertEqual(values[0], 42)
        self.assertEqual(bytes(mine.broadcast(0, b"hello")), b"hello")
        self.assertEqual(self.number(handle), 42)
        with self.assertRaises(pinfold.MemberGone) as caught:
            mine.barrier()
        self.assertEqual(caught.exception.rank, 1)
        mine.shrink()
        self.assertEqual((mine.rank, mine.size), (0, 1))
        buffer = self.rt.buffer(16)
        self.assertEqual(mine.scatter(0, buffer, 8).data, buffer.data)
        self.assertEqual([bytes(one) for one in mine.all_gather(b"a")], [b"a"])
        self.assertEqual([bytes(one) for one in mine.gather(0, b"b")], [b"b"])
        doubles = array.array("d", [1.5, 2.5])
        mine.all_reduce(doubles, "max")
        with self.assertRaises(TypeError):
            mine.all_reduce(bytes(8), "sum")
        with self.assertRaises(ValueError):
            mine.all_reduce(doubles, "mean")
        with self.assertRaises(pinfold.InvalidArgument):
            mine.all_reduce(doubles, "xor")
        one, two = self.rt.collective(2)
        one.timeout = 0.01
        with self.assertRaises(pinfold.TimedOut):
            one.barrier()
        del two

    def test_routers_and_select(self):
        router, receivers = self.rt.router(2, 4)
        router.send(1, b"a")
        router.balance(b"b")
        self.assertEqual([len(one) for one in receivers], [1, 1])
        router.send_by_key(b"Ada", b"c")
        self.assertEqual(len(receivers[router.receiver_of(b"Ada")]), 2)
        to, receiver = self.rt.channel(1)
        handle = self.rt.submit("back", b"x")
        handle.result(60)
        chosen = pinfold.select(receiver, None, handle)
        self.assertEqual((chosen.index, chosen.message), (2, None))
        chosen = pinfold.select(receiver, time.monotonic() + 0.01)
        self.assertEqual(chosen.index, 1)
        chosen = pinfold.select(receiver, (to, b"sent"))
        self.assertEqual(chosen.index, 1)
        chosen = pinfold.select(receiver, (to, b"more"))
        self.assertEqual((chosen.index, bytes(chosen.message)), (0, b"sent"))
        with self.assertRaises(pinfold.Empty):
            pinfold.select(receiver, timeout=0)
        with self.assertRaises(pinfold.TimedOut):
            pinfold.select(receiver, timeout=0.01)
        with self.assertRaises(pinfold.InvalidArgument):
            pinfold.select(None)
        to.free()
        chosen = pinfold.select(receiver)
        self.assertTrue(chosen.is_over and chosen.index == 0 and chosen.message is None)

    def test_objects_in_messages(self):
        to, receiver = self.rt.channel(1)
        mutex, prices = self.rt.mutex(bytes(8)), self.rt.broadcast(4)
        mine = prices.subscribe()
        to.send(b"first")
        with self.assertRaises(pinfold.Full):
            to.send(objects=[mine], timeout=0)
        self.assertEqual(len(mine), 0)  # it is here still
        self.assertEqual(receiver.recv(60).object_count, 0)
        to.send(objects=[mutex, mine])
        with self.assertRaises(pinfold.Error):
            len(mine)
        with self.assertRaises(TypeError):
            to.send(objects=[3])
        message = receiver.recv(60)
        self.assertEqual(message.object_count, 2)
        same, theirs = message.object(0, pinfold.Mutex), message.object(1, pinfold.Subscriber)
        with self.assertRaises(pinfold.Error):
            message.object(1, pinfold.Subscriber)
        with self.assertRaises(pinfold.InvalidArgument):
            message.object(2, pinfold.Mutex)
        with same.lock() as guard:
            guard.data[0] = 7
        with mutex.lock() as guard:
            self.assertEqual(guard.data[0], 7)
        ticker = self.rt.ticker(3600)
        with self.assertRaises(pinfold.Empty):
            pinfold.select(theirs, ticker, timeout=0)
        prices.send(b"7")
        self.assertEqual(pinfold.select(None, ticker, theirs).index, 2)
        self.assertEqual(bytes(theirs.recv(0)), b"7")
        often = self.rt.ticker(0.001)
        self.assertEqual(pinfold.select(ticker, often).index, 1)
        self.assertGreaterEqual(often.missed, 1)

    def test_bytes_that_are_made_once(self):
        once = self.rt.oncelock(100)
        self.assertIsNone(once.get())

        def fails(data):
            data[3] = 1
            raise KeyError("not now")

        def fills(data):
            self.assertEqual(bytes(data), bytes(100))
            data[:] = bytes(range(100))

        with self.assertRaises(KeyError):
            once.get_or_init(fails)
        made = once.get_or_init(fills)
        self.assertEqual((bytes(made), made.readonly), (bytes(range(100)), True))
        self.assertEqual(bytes(once.get_or_init(fails, 0)), bytes(range(100)))
        once.free()
        self.assertEqual(made[99], 99)  # as long as there is a view of it


if __name__ == "__main__":
    unittest.main()
