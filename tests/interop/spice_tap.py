# SPDX-License-Identifier: LGPL-2.1-or-later
"""A proxy that reads along: which SPICE messages a server sent, on which channel, when, how big."""
import select
import socket
import struct
import threading
import time
from collections import namedtuple

MAIN, DISPLAY, INPUTS, CURSOR = 1, 2, 3, 4
MIGRATE, MIGRATE_DATA = 1, 2  # common messages of a server
SURFACE_CREATE = 314
DRAWS = range(302, 314)  # fill, opaque, copy, …: what changes pixels

# `at`: time.monotonic() when its last byte passed; `body`: only of short messages.
Message = namedtuple("Message", "at channel number size body")


class Side:
    """One direction of one connection: skips the link handshake, then cuts into messages."""

    def __init__(self, handshake):
        self.data = b""
        self.handshake = handshake

    def feed(self, data):
        self.data += data
        while self.handshake:
            taken = self.handshake[0](self.data)
            if taken is None:
                return
            self.data = self.data[taken:]
            self.handshake.pop(0)
        while len(self.data) >= 6:
            number, size = struct.unpack_from("<HI", self.data)
            if len(self.data) < 6 + size:
                return
            body = self.data[6:6 + size]
            self.data = self.data[6 + size:]
            yield number, size, body


def link_message(data):
    if len(data) < 16:
        return None
    size = 16 + struct.unpack_from("<I", data, 12)[0]
    return size if len(data) >= size else None


def exactly(size):
    return lambda data: size if len(data) >= size else None


class Tap:
    """Listens on a port of its own and passes everything on to `port`; a context manager."""

    def __init__(self, port):
        self.target = port
        self.messages = []  # of the server
        self.sent = []  # of the client
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.peers = {}  # socket: (other, Side, channel [type], messages)
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join(5)
        for peer in [self.listener, *self.peers]:
            peer.close()

    def run(self):
        while self.running:
            ready, _, _ = select.select([self.listener, *self.peers], [], [], 0.1)
            for one in ready:
                if one is self.listener:
                    self.accept()
                elif one in self.peers:
                    self.move(one)

    def accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = [None]

        def asked(data):
            taken = link_message(data)
            if taken:
                kind[0] = data[20]
            return taken
        self.peers[client] = (server, Side([asked, exactly(132)]), kind, self.sent)
        self.peers[server] = (client, Side([link_message, exactly(4)]), kind, self.messages)

    def move(self, one):
        other, side, kind, messages = self.peers[one]
        try:
            data = one.recv(1 << 18)
            if data:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for gone in (one, other):
                self.peers.pop(gone, None)
                gone.close()
            return
        now = time.monotonic()
        for number, size, body in side.feed(data):
            messages.append(Message(now, kind[0], number, size, body[:64]))

    def of(self, channel, *numbers):
        """The server's messages on a channel, of these numbers or all."""
        return [m for m in list(self.messages)
                if m.channel == channel and (not numbers or m.number in numbers)]

    def flags(self, channel):
        """The flags of MIGRATE on this channel; None: there was none."""
        found = self.of(channel, MIGRATE)
        return struct.unpack_from("<I", found[-1].body)[0] if found else None
