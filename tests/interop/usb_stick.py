# SPDX-License-Identifier: LGPL-2.1-or-later
"""A USB stick that is not there: a client's end of usbredir, and behind it a disk of Bulk-Only
Transport whose writes a test can keep waiting. It does no I/O: bytes come in, bytes go out."""
import struct

BLOCK = 512
IN, OUT = 0x81, 0x02  # its endpoints
SUCCESS, CANCELLED, STALL = 0, 1, 4
HIGH_SPEED = 2
# Types of usbredir's messages.
(HELLO, DEVICE_CONNECT, DEVICE_DISCONNECT, RESET, INTERFACE_INFO, EP_INFO, SET_CONFIGURATION,
 GET_CONFIGURATION, CONFIGURATION_STATUS, SET_ALT, GET_ALT, ALT_STATUS) = range(12)
CANCEL, CONTROL, BULK = 21, 100, 101
# The version of the device and the sizes of packets are told; wide ids and lengths, as xHCI asks.
CAPS = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6
WIDE = "<BBHIH"  # a bulk packet's header

DEVICE = struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, 0x1b36, 0x5355, 1, 0, 0, 0, 1)
CONFIGURATION = (struct.pack("<BBHBBBBB", 9, 2, 32, 1, 1, 0, 0xc0, 0) +
                 struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 2, 8, 6, 0x50, 0) +
                 struct.pack("<BBBBHB", 7, 5, IN, 2, 512, 0) +
                 struct.pack("<BBBBHB", 7, 5, OUT, 2, 512, 0))


class Stick:
    """`sent`: bytes that are to go to the guest. `writes`: (block, data), as they were done."""

    def __init__(self, image):
        self.blocks = bytearray(image)
        self.came, self.sent = b"", b""
        self.header = "<III"  # until both have said what they can
        self.writes, self.cancelled, self.configured = [], 0, 0
        self.command, self.written = None, b""  # a write under way
        self.answers = []  # what is to be read of it
        self.reads = []  # (id, header, bytes wanted) that wait for an answer
        self.holds, self.held = False, None

    # --- usbredir ---

    def take(self, data):
        self.came += data
        while len(self.came) >= (start := struct.calcsize(self.header)):
            kind, size, number = struct.unpack_from(self.header, self.came)
            if len(self.came) < start + size:
                return
            body, self.came = self.came[start:start + size], self.came[start + size:]
            self.hear(kind, number, body)

    def say(self, kind, body, number=0):
        self.sent += struct.pack(self.header, kind, len(body), number) + body

    def hear(self, kind, number, body):
        if kind == HELLO:
            self.say(HELLO, b"a stick".ljust(64, b"\0") + struct.pack("<I", CAPS))
            self.header = "<IIQ"
            self.plug_in()
        elif kind == SET_CONFIGURATION:
            self.configured += 1
            self.say(CONFIGURATION_STATUS, struct.pack("<BB", SUCCESS, body[0]), number)
        elif kind == SET_ALT:
            self.say(ALT_STATUS, struct.pack("<BBB", SUCCESS, body[0], body[1]), number)
        elif kind == CONTROL:
            self.control(number, body[:10])
        elif kind == BULK:
            self.bulk(number, body[:10], body[10:])
        elif kind == CANCEL:
            self.cancel(number)

    def plug_in(self):
        self.say(INTERFACE_INFO, struct.pack("<I", 1) + bytes(32) + b"\x08".ljust(32, b"\0") +
                 b"\x06".ljust(32, b"\0") + b"\x50".ljust(32, b"\0"))
        types, sizes = bytearray(b"\xff" * 32), [0] * 32
        types[0] = types[16] = 0
        for endpoint in (IN, OUT):
            at = endpoint & 15 | (endpoint & 0x80) >> 3
            types[at], sizes[at] = 2, 512
        self.say(EP_INFO, bytes(types) + bytes(64) + struct.pack("<32H", *sizes))
        self.say(DEVICE_CONNECT, struct.pack("<BBBBHHH", HIGH_SPEED, 0, 0, 0, 0x1b36, 0x5355, 1))

    def control(self, number, header):
        endpoint, request, kind, _, value, index, length = struct.unpack("<BBBBHHH", header)
        data, status = b"", SUCCESS
        if (kind, request) == (0x80, 6):
            data = {1: DEVICE, 2: CONFIGURATION}.get(value >> 8, b"")
            status = SUCCESS if data else STALL
        elif (kind, request) == (0xa1, 0xfe):
            data = b"\0"  # one unit
        elif kind & 0x80:
            data = bytes(length)
        data = data[:length]
        self.say(CONTROL, struct.pack("<BBBBHHH", endpoint, request, kind, status, value, index,
                                      len(data)) + data, number)

    def cancel(self, number):
        self.cancelled += 1
        for read in self.reads:
            if read[0] == number:
                self.reads.remove(read)
                self.answer(number, read[1], CANCELLED, 0)
                return

    def answer(self, number, header, status, length, data=b""):
        endpoint, _, _, stream, _ = struct.unpack(WIDE, header)
        self.say(BULK, struct.pack(WIDE, endpoint, status, length, stream, 0) + data, number)

    # --- The disk ---

    def bulk(self, number, header, data):
        endpoint, _, length, _, _ = struct.unpack(WIDE, header)
        if endpoint == IN:
            self.reads.append((number, header, length))
        elif self.command:
            self.written += data
            if self.holds and not self.held:
                self.held = number, header, len(data)
                return
            self.wrote(number, header, len(data))
        else:
            self.answer(number, header, SUCCESS, len(data))
            self.obey(data)
        self.answer_reads()

    def wrote(self, number, header, length):
        tag, block, size = self.command
        if len(self.written) >= size:
            self.blocks[block * BLOCK:block * BLOCK + size] = self.written
            self.writes.append((block, self.written))
            self.command, self.written = None, b""
            self.answers.append(struct.pack("<4sIIB", b"USBS", tag, 0, 0))
        self.answer(number, header, SUCCESS, length)

    def release(self):
        """The write that was kept waiting is done."""
        self.holds = False
        self.wrote(*self.held)
        self.answer_reads()

    def obey(self, wrapper):
        tag, length = struct.unpack_from("<II", wrapper, 4)
        operation, = struct.unpack_from("<B", wrapper, 15)
        block, = struct.unpack_from(">I", wrapper, 17)
        if operation == 0x2a:  # WRITE (10)
            self.command, self.written = (tag, block, length), b""
            return
        data = b""
        if operation == 0x12:  # INQUIRY
            data = struct.pack("<BBBBBBBB8s16s4s", 0, 0x80, 4, 2, 31, 0, 0, 0, b"Segue   ",
                               b"Stick           ", b"1   ")
        elif operation == 0x25:  # READ CAPACITY (10)
            data = struct.pack(">II", len(self.blocks) // BLOCK - 1, BLOCK)
        elif operation == 0x28:  # READ (10)
            data = bytes(self.blocks[block * BLOCK:block * BLOCK + length])
        if length:
            self.answers.append(data[:length].ljust(length, b"\0"))
        self.answers.append(struct.pack("<4sIIB", b"USBS", tag, 0, 0))

    def answer_reads(self):
        while self.reads and self.answers:
            number, header, length = self.reads.pop(0)
            data, rest = self.answers[0][:length], self.answers[0][length:]
            self.answers[:1] = [rest] if rest else []
            self.answer(number, header, SUCCESS, len(data), data)
