# SPDX-License-Identifier: LGPL-2.1-or-later
"""A proxy before a SPICE server that keeps its clients at a distance and measures them from
outside, so that every client is measured alike: how long its links take, and how long it lets a
PING wait behind a picture."""
import asyncio
import struct
import threading
import time
from pathlib import Path

DISPLAY = 2
PING, PONG = 4, 3
PING_ID = 0xfade
LINK_HEADER = 16
TICKET = 4 + 128  # the mechanism, and what RSA made of the password


class Messages:
    """Cuts one direction of a connection: parts of the link first, then whole messages."""

    def __init__(self, first_part):
        self.data = bytearray()
        self.parts = [None, first_part]  # a link message of its own length, and what follows it

    def feed(self, data):
        """(kind, bytes) of all that is whole: a kind "link" or "answer", then message numbers."""
        self.data += data
        while True:
            size, kind = self.next_size()
            if size is None or len(self.data) < size:
                return
            part = bytes(self.data[:size])
            del self.data[:size]
            if self.parts:
                self.parts.pop(0)
            yield kind, part

    def next_size(self):
        if self.parts and self.parts[0] is None:
            if len(self.data) < LINK_HEADER:
                return None, "link"
            return LINK_HEADER + struct.unpack_from("<I", self.data, 12)[0], "link"
        if self.parts:
            return self.parts[0], "answer"
        if len(self.data) < 6:
            return None, None
        number, size = struct.unpack_from("<HI", self.data)
        return 6 + size, number


def unread(writer):
    """Whether some of what was written is still in a buffer, ours or one of the kernel's."""
    if writer.transport.get_write_buffer_size():
        return True
    ours, theirs = (writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
        sent, received = (int(part, 16) for part in queues.split(":"))
        if (ports == (ours, theirs) and sent) or (ports == (theirs, ours) and received):
            return True
    return False


class Meter:
    """Listens on `port`; a context manager. Half of `rtt_ms` passes each way, and a client's bytes
    leave no sooner than a whole one behind its connection: that is its TCP handshake.

    `opened`: seconds from the first connection to each link's result, as its client sees them.
    `pongs`: seconds that a PING waited which was sent behind a picture of `ping_behind` bytes: at
    once, when much of the picture is still on its way, or with `when_read` as soon as the client
    has taken all of it from its socket, which is when it decodes. `watch()` is asked at each PING
    and PONG; `watched` is by how much it grew between."""

    def __init__(self, target, rtt_ms=0, ping_behind=None, when_read=False):
        self.target, self.half, self.ping_behind = target, rtt_ms / 2000, ping_behind
        self.when_read = when_read
        self.watch, self.watched = lambda: 0, []
        self.opened, self.pongs, self.began = [], [], None
        self.loop = asyncio.new_event_loop()
        self.server = None

    def __enter__(self):
        ready = threading.Event()

        async def listen():
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(listen())
            self.loop.run_forever()
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_):
        async def end():
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(5)

    async def serve(self, client_reader, client_writer):
        if self.began is None:
            self.began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        link = {"channel": None, "pinged": None, "due": False}
        connected = time.monotonic() + 2 * self.half
        toward = self.carry(client_reader, writer, connected, self.from_client, link)
        back = self.carry(reader, client_writer, 0, self.from_server, link)
        try:
            await asyncio.gather(toward, back, return_exceptions=True)
        finally:
            writer.close()
            client_writer.close()

    async def carry(self, reader, writer, connected, look, link):
        """One direction: what is read leaves after its delay, in order."""
        queue = asyncio.Queue()
        cutter = Messages(TICKET if look == self.from_client else 4)

        async def send():
            while (item := await queue.get()) is not None:
                due, data, told = item
                if due > time.monotonic():
                    await asyncio.sleep(due - time.monotonic())
                writer.write(data)
                await writer.drain()
                for tell in told:
                    tell()
                if link["due"] and look == self.from_server:
                    link["due"] = False
                    await self.ping(writer, link)
            writer.close()
        sender = self.loop.create_task(send())
        while data := await reader.read(1 << 20):
            passed, told = look(cutter, data, link)
            due = max(time.monotonic(), connected) + self.half
            queue.put_nowait((due, passed, told))
        queue.put_nowait(None)
        await sender

    async def ping(self, writer, link):
        while self.when_read and unread(writer):
            await asyncio.sleep(0.0002)
        link["before"], link["pinged"] = self.watch(), time.monotonic()
        writer.write(struct.pack("<HIIQ", PING, 12, PING_ID, 0))

    def from_client(self, cutter, data, link):
        passed = bytearray() if self.ping_behind else data
        for kind, part in cutter.feed(data):
            if kind == "link":
                link["channel"] = part[20]
            mine = kind == PONG and part[6:10] == struct.pack("<I", PING_ID)
            if mine and link["pinged"]:
                self.watched.append(self.watch() - link["before"])
                self.pongs.append(time.monotonic() - link["pinged"])
                link["pinged"] = None
            elif self.ping_behind:
                passed += part
        return passed, []

    def from_server(self, cutter, data, link):
        passed, told = bytearray() if self.ping_behind else data, []
        for kind, part in cutter.feed(data):
            if kind == "answer":
                told.append(lambda: self.opened.append(time.monotonic() - self.began))
            if not self.ping_behind:
                continue
            passed += part
            if link["channel"] == DISPLAY and len(part) > self.ping_behind and not link["pinged"]:
                told.append(lambda: link.update(due=True))
        return passed, told
