"""Channels: ends, messages, what ends them."""

import array
import gc
import os
import pickle
import signal
import threading
import unittest

from support import MORE, WithRuntime, pinfold


class Channels(WithRuntime):
    plugin = MORE

    def test_messages_go_to_tasks_and_back(self):
        jobs, of_tasks = self.rt.channel(4)
        to_host, results = self.rt.channel(4)
        handles = [self.rt.submit("serve", receivers=[of_tasks], senders=[to_host]) for _ in range(2)]
        of_tasks.free(), to_host.free()
        lengths = [0, 1, 8, 64, 65, 1000, 100000] * 3

        def send():
            with jobs:
                for length in lengths:
                    jobs.send(bytes(i % 251 for i in range(length)))

        thread = threading.Thread(target=send)
        thread.start()
        got = [message.data for message in results]
        thread.join()
        self.assertEqual(sorted(map(len, got)), sorted(lengths))
        for data in got:
            self.assertTrue(data.readonly)
            self.assertEqual(data, bytes(i % 251 for i in range(len(data))))
        for handle in handles:
            handle.result()
        with self.assertRaises(pinfold.Disconnected):
            results.recv()

    def test_a_message_has_buffers_and_ends(self):
        jobs, of_task = self.rt.channel(0)
        reply, replies = self.rt.channel(1)
        self.rt.submit("serve", receivers=[of_task])
        buffer = self.rt.buffer(100000)
        buffer.data[:] = bytes(range(250)) * 400
        jobs.send(array.array("d", [1.5]), buffers=[buffer], senders=[reply], receivers=[])
        message = replies.recv(timeout=60)
        self.assertEqual(array.array("d", bytes(message))[0], 1.5)
        self.assertEqual(message.buffers[0].data, buffer.data)
        self.assertEqual(message.senders, [])
        reply.send(b"ends", senders=[reply], receivers=[replies])
        message = replies.recv()
        message.senders[0].send(b"again")
        self.assertEqual(message.receivers[0].recv().data, b"again")

    def test_what_is_full_or_empty_is_told(self):
        sender, receiver = self.rt.channel(1)
        with self.assertRaises(pinfold.Empty):
            receiver.recv(timeout=0)
        with self.assertRaises(TimeoutError):
            receiver.recv(timeout=0.01)
        sender.send(b"1")
        self.assertEqual((len(sender), len(receiver)), (1, 1))
        with self.assertRaises(pinfold.Full):
            sender.send(b"2", timeout=0)
        with self.assertRaises(pinfold.TimedOut):
            sender.send(b"2", timeout=0.01)
        sender.close()
        with self.assertRaises(pinfold.Disconnected):
            sender.send(b"2")
        self.assertEqual([bytes(message) for message in receiver], [b"1"])

    def test_overflow_is_by_choice(self):
        sender, receiver = self.rt.channel(1, overflow="reject")
        sender.send(b"1")
        with self.assertRaises(pinfold.Full):
            sender.send(b"2")
        sender, receiver = self.rt.channel(2, overflow="drop_oldest")
        for number in b"1234":
            sender.send(bytes([number]))
        self.assertEqual(receiver.dropped, 2)
        self.assertEqual(receiver.lost, 0)
        self.assertEqual([receiver.recv().data for _ in range(2)], [b"3", b"4"])

    def test_an_end_that_nobody_has_is_gone(self):
        sender, receiver = self.rt.channel(1)
        more = sender.clone()
        del sender
        gc.collect()
        more.send(b"x")
        del receiver
        gc.collect()
        with self.assertRaises(pinfold.Disconnected):
            more.send(b"x")
        more.free()
        with self.assertRaisesRegex(ValueError, "was freed"):
            more.send(b"x")

    def test_a_wait_hears_ctrl_c(self):
        sender, receiver = self.rt.channel(1)
        empty, nothing = self.rt.channel(1)
        sender.send(b"x")
        main = threading.main_thread().ident
        for wait in (lambda: sender.send(b"y"), nothing.recv):
            timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
            with self.assertRaises(KeyboardInterrupt):
                timer.start()
                wait()
            timer.join()
        self.assertEqual(receiver.recv().data, b"x")

    def test_mistakes(self):
        sender, receiver = self.rt.channel(1)
        for wrong in (lambda: self.rt.channel(-1), lambda: self.rt.channel(1, overflow="no")):
            with self.assertRaises(ValueError):
                wrong()
        with self.assertRaises(pinfold.TooLarge):
            self.rt.channel(1 << 60)
        with self.assertRaises(TypeError):
            sender.send(b"", senders=[receiver])
        with self.assertRaises(TypeError):
            sender.send("text")
        with self.assertRaises(TypeError):
            pickle.dumps(sender)
        with pinfold.Runtime(MORE, workers=1) as rt:
            foreign, _ = rt.channel(1)
            with self.assertRaisesRegex(pinfold.Error, "another runtime"):
                sender.send(b"", senders=[foreign])
        with self.assertRaises(pinfold.Shutdown):
            foreign.send(b"")
        child = os.fork()
        if child == 0:
            try:
                sender.send(b"")
            except pinfold.Forked:
                os._exit(0)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
