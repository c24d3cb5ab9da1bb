# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TCP client in a few lines beside the Ethernet-over-UDP peer of a guest: it fetches one file, in
order, and acknowledges what it has. It never forgets: whatever the guest's server believes to have
been acknowledged was."""
import socket
import struct
import threading
import time

from agent import GUEST, OUTSIDE, OUTSIDE_MAC

GUEST_MAC = bytes.fromhex("525400000002")
FIN, SYN, RST, ACK = 1, 2, 4, 16
OWN_PORT = 40000
WINDOW = 65535
RESEND = 0.5
WRAP = 1 << 32


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Download:
    """Hangs itself into `outside`, a UdpOutside; `content` grows until `done`."""

    def __init__(self, outside, request, port=80):
        self.outside, self.request, self.port = outside, request, port
        self.own, self.theirs = 1000, None  # the next bytes
        self.content = bytearray()
        self.done, self.reset = False, False
        self.repeats = 0  # segments that came again
        self.lock = threading.Lock()
        self.heard = 0.0
        inner = outside.frame

        def frame(data, sender):
            self.frame(data)
            inner(data, sender)
        outside.frame = frame
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not (self.done or self.reset or self.outside.closed):
            with self.lock:
                if time.monotonic() - self.heard > RESEND:
                    self.say()
            time.sleep(RESEND / 2)

    def say(self):
        """The greeting, or what is not acknowledged yet, or what we have."""
        if self.theirs is None:
            return self.send(SYN, self.own - 1, 0)
        return self.send(ACK, self.own, self.theirs, self.request)

    def send(self, flags, number, acknowledged, data=b""):
        head = struct.pack(">HHIIBBHHH", OWN_PORT, self.port, number % WRAP, acknowledged % WRAP,
                           5 << 4, flags, WINDOW, 0, 0)
        own, guest = socket.inet_aton(OUTSIDE), socket.inet_aton(GUEST)
        pseudo = own + guest + struct.pack(">BBH", 0, 6, len(head) + len(data))
        head = head[:16] + struct.pack(">H", checksum(pseudo + head + data)) + head[18:]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(head) + len(data), 0, 0, 64, 6, 0, own,
                         guest)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        try:
            self.outside.socket.sendto(GUEST_MAC + OUTSIDE_MAC + b"\x08\x00" + ip + head + data,
                                       ("127.0.0.1", self.outside.guest_port))
        except OSError:
            pass  # nobody is there for a moment

    def frame(self, data):
        if data[12:14] != b"\x08\x00" or data[23] != 6:
            return
        size = (data[14] & 15) * 4
        total = struct.unpack(">H", data[16:18])[0]
        segment = data[14 + size:14 + total]
        source, target, number, acknowledged, offset, flags = struct.unpack(">HHIIBB",
                                                                            segment[:14])
        if (source, target) != (self.port, OWN_PORT):
            return
        with self.lock:
            self.heard = time.monotonic()
            self.segment(number, acknowledged, flags, segment[(offset >> 4) * 4:])

    def segment(self, number, acknowledged, flags, data):
        if flags & RST:
            self.reset = self.theirs is not None  # nobody listens yet: asked again
            return
        if flags & SYN:
            if self.theirs is None:
                self.theirs = number + 1
            self.say()
            return
        if self.theirs is None:
            return
        if self.request and (acknowledged - self.own) % WRAP == len(self.request):
            self.own, self.request = acknowledged, b""
        behind = (self.theirs - number) % WRAP
        if behind >= WRAP // 2:
            return self.send(ACK, self.own, self.theirs)  # one before it is missing
        if behind:
            self.repeats += 1
        fresh = data[behind:]
        self.content += fresh
        self.theirs = (self.theirs + len(fresh)) % WRAP
        if flags & FIN and behind <= len(data):
            self.theirs += 1
            self.done = True
        return self.send(ACK, self.own, self.theirs)
