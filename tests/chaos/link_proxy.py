"""Links between the services: a TCP proxy on loopback whose links can be slow, silent or cut.

All methods of LinkProxy and Link may be called from any thread.
"""
import asyncio
import socket
import struct
import threading

CHUNK = 64 * 1024
# close() sends a reset, and drops what was not sent.
RESET = struct.pack("ii", 1, 0)


class Link:
    """One address that leads to one service, wherever that listens."""

    def __init__(self, loop):
        self._loop = loop
        self._writers = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._cut = False
        self._delay = 0.0
        self._bytes_per_second = float("inf")
        self._target = None
        self.address = None

    def lead_to(self, address):
        """Where new connections go; None: they are refused."""
        self._target = address

    def slow(self, delay, bytes_per_second):
        """Every piece of data is late by `delay` seconds and by its length."""
        self._delay, self._bytes_per_second = delay, bytes_per_second

    def silence(self):
        """Connections stay and are taken, but nothing goes through until restore()."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def cut(self):
        """Resets all connections and every new one until restore()."""
        self._cut = True
        self._loop.call_soon_threadsafe(self._reset_all)

    def restore(self):
        self._cut = False
        self.slow(0.0, float("inf"))
        self._loop.call_soon_threadsafe(self._flows.set)

    async def listen(self):
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]

    def _reset_all(self):
        for writer in self._writers:
            reset(writer)

    async def _accept(self, reader, writer):
        if self._cut or self._target is None:
            reset(writer)
            return
        host, port = self._target.split(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            reset(writer)
            return
        both = {writer, far_writer}
        self._writers |= both
        pumps = [asyncio.ensure_future(self._pump(reader, far_writer)), asyncio.ensure_future(self._pump(far_reader, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        self._writers -= both
        for end in both:
            end.close()

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay + len(data) / self._bytes_per_second)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


def reset(writer):
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class LinkProxy:
    """Runs the links in a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def link(self):
        async def make():
            link = Link(self._loop)
            await link.listen()
            return link
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()
