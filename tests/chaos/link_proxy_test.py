#!/usr/bin/env python3
"""What a link does to data: nothing, late, silent, cut."""
import contextlib
import socket
import socketserver
import threading
import time
import unittest

from link_proxy import LinkProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


class LinkProxyTest(unittest.TestCase):
    def setUp(self):
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.link = LinkProxy().link()
        self.link.lead_to("127.0.0.1:%d" % self.server.server_address[1])

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def connect(self):
        host, port = self.link.address.split(":")
        connection = socket.create_connection((host, int(port)), timeout=20)
        self.addCleanup(connection.close)
        return connection

    def echo(self, connection, data=b"hello"):
        connection.sendall(data)
        received = b""
        while len(received) < len(data):
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
        return received

    def test_data_goes_through_unchanged(self):
        data = bytes(range(256)) * 4096
        connection = self.connect()
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        received = b""
        while len(received) < len(data):
            received += connection.recv(65536)
        self.assertEqual(received, data)

    def test_a_slow_link_is_late_both_ways(self):
        self.link.slow(0.2, 1e6)
        begin = time.monotonic()
        self.assertEqual(self.echo(self.connect()), b"hello")
        self.assertGreaterEqual(time.monotonic() - begin, 0.4)

    def test_a_silent_link_delivers_when_it_is_restored(self):
        connection = self.connect()
        self.assertEqual(self.echo(connection), b"hello")
        self.link.silence()
        connection.sendall(b"later")
        connection.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            connection.recv(5)
        self.link.restore()
        connection.settimeout(20)
        self.assertEqual(connection.recv(5), b"later")

    def test_a_cut_link_resets_the_old_and_the_new_connections(self):
        connection = self.connect()
        self.assertEqual(self.echo(connection), b"hello")
        self.link.cut()
        with self.assertRaises(ConnectionError):
            if not connection.recv(1):
                raise ConnectionResetError
        with self.assertRaises(ConnectionError):
            if not self.echo(self.connect()):
                raise ConnectionResetError
        self.link.restore()
        self.assertEqual(self.echo(self.connect()), b"hello")

    def test_a_link_follows_its_service(self):
        self.link.lead_to(None)
        with self.assertRaises(ConnectionError):
            if not self.echo(self.connect()):
                raise ConnectionResetError
        self.link.lead_to("127.0.0.1:%d" % self.server.server_address[1])
        self.assertEqual(self.echo(self.connect()), b"hello")


if __name__ == "__main__":
    unittest.main(verbosity=2)
