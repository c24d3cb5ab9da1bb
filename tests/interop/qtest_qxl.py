# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QXL device of a real QEMU without a driver: the test itself writes the device's rings, over
QEMU's qtest protocol, and so knows each command that the server is given."""
import socket
import struct
import time

VENDOR_DEVICE = 0x01001B36
NOTIFY_COMMAND, NOTIFY_CURSOR, MEMSLOT_ADD, CREATE_PRIMARY = 0, 1, 8, 12  # QXL_IO_*
CMD_DRAW, CMD_CURSOR = 1, 3
OPAQUE, COPY, PUT = 1, 3, 8  # QXL_EFFECT_*, QXL_DRAW_*, SPICE_ROPD_OP_*
IMAGE_BITMAP, IMAGE_CACHE_ME = 0, 1
BITMAP_32BIT, DIRECT, TOP_DOWN = 8, 1, 4
SET, MOVE = 0, 1  # QXL_CURSOR_*
XRGB = 32
SIDE = 16

# QXLRom.
RAM_HEADER, GEN_BITS, ID_BITS, GENERATION = 44, 66, 67, 68
# QXLRam: two numbers before log_buf and one behind, then the rings of commands, cursors, releases.
COMMANDS = 12 + 4096
RING = 20 + 32 * 16
CURSORS = COMMANDS + RING
RELEASES = CURSORS + RING
MEMORY_SLOT = RELEASES + 20 + 8 * 8 + 16 + 4
SURFACE = MEMORY_SLOT + 16
# Where this driver puts what it makes: in the device's first memory bar.
PRIMARY, THINGS = 0, 8 << 20


def arguments(path):
    """For a QEMU that is to be driven so."""
    return ["-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "none"]


class Wire:
    """The machine's own bus, as its processor sees it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, *words):
        self.socket.sendall(" ".join(map(str, words)).encode() + b"\n")
        answer = self.file.readline().split()
        while answer[0] == b"IRQ":
            answer = self.file.readline().split()
        assert answer[0] == b"OK", answer
        return int(answer[1], 16) if len(answer) > 1 else None

    def write(self, address, data):
        self.ask("write", hex(address), hex(len(data)), "0x" + data.hex())

    def read(self, address, form):
        size = struct.calcsize(form)
        self.socket.sendall(f"read {address:#x} {size:#x}\n".encode())
        return struct.unpack(form, bytes.fromhex(self.file.readline().split()[1][2:].decode()))[0]

    def beep(self):
        """The PC speaker, from now on."""
        for port, value in ((0x43, 0xb6), (0x42, 0), (0x42, 4), (0x61, 3)):
            self.ask("outb", hex(port), hex(value))


class Device(Wire):
    """A further display of a machine ("-device qxl"), the first of them where `wire` is none: that
    is whose bus another one of this machine uses. Its machine runs. `before`: the same device of
    the machine as it was elsewhere."""

    def __init__(self, path, before=None, wire=None):
        if wire:
            self.socket, self.file, self.index = wire.socket, wire.file, wire.index + 1
        else:
            super().__init__(path)
            self.index = 0
        self.free = before.free if before else THINGS
        self.find()
        if not before:
            self.begin()

    def moved(self, path):
        """This device, when its machine has moved to another QEMU."""
        return Device(path, self)

    def next(self, before=None):
        """The one behind this in the machine."""
        return Device(None, before, self)

    def config(self, slot, offset):
        self.ask("outl", "0xcf8", hex(1 << 31 | slot << 11 | offset))
        return self.ask("inl", "0xcfc")

    def find(self):
        """The firmware has given it its addresses."""
        end = time.monotonic() + 60
        while True:
            slots = [slot for slot in range(32) if self.config(slot, 0) == VENDOR_DEVICE]
            slot = slots[self.index]
            bars = [self.config(slot, 0x10 + 4 * bar) & ~0xf for bar in range(4)]
            if all(bars) and self.config(slot, 4) & 3 == 3:
                break
            assert time.monotonic() < end, "the firmware does not know the device"
            time.sleep(0.05)
        self.memory, _, rom, self.ports = bars
        self.ram = self.memory + self.read(rom + RAM_HEADER, "<I")
        bits = [self.read(rom + at, "<B") for at in (GEN_BITS, ID_BITS, GENERATION)]
        self.high = (1 << bits[0] | bits[2]) << (64 - bits[0] - bits[1])

    def command(self, port, value=0):
        self.ask("outb", hex(self.ports + port), hex(value))

    def begin(self):
        """One slot of memory, which is all of the bar, and a screen."""
        self.write(self.ram + MEMORY_SLOT,
                   struct.pack("<QQ", self.memory, self.ram & ~0xfff))
        self.command(MEMSLOT_ADD, 1)
        self.write(self.ram + SURFACE, struct.pack("<IIiIIIIIQ", 320, 200, 320 * 4, XRGB, 0, 0, 0,
                                                   0, self.high | PRIMARY))
        self.command(CREATE_PRIMARY)

    def put(self, data):
        """Its address, as the device's commands name it."""
        at = self.free
        self.free += (len(data) + 63) & ~63
        self.write(self.memory + at, data)
        return self.high | at

    def cursor(self, kind, more):
        command = struct.pack("<QB", 0, kind) + more
        self.push(self.ram + CURSORS, CMD_CURSOR, command.ljust(9 + 13 + 128, b"\0"),
                  NOTIFY_CURSOR)

    def icon(self, number, x, y):
        """A picture that the guest names so, for the clients to keep."""
        data = b"".join(struct.pack("<I", number * 0x10203 ^ at * 0x9e3779b1 & 0xffffff)
                        for at in range(SIDE * SIDE))
        pixels = self.put(data)
        image = self.put(struct.pack("<QBBII", number, IMAGE_BITMAP, IMAGE_CACHE_ME, SIDE, SIDE) +
                         struct.pack("<BBIIIQQ", BITMAP_32BIT, DIRECT | TOP_DOWN, SIDE, SIDE,
                                     4 * SIDE, 0, pixels))
        drawable = struct.pack("<QIBBB16x", 0, 0, OPAQUE, COPY, 0)
        drawable += struct.pack("<4iIQI3i48x", y, x, y + SIDE, x + SIDE, 0, 0, 0, -1, -1, -1)
        drawable += struct.pack("<Q4iHB", image, 0, 0, SIDE, SIDE, PUT, 0)
        self.push(self.ram + COMMANDS, CMD_DRAW, drawable.ljust(256, b"\0"), NOTIFY_COMMAND)

    def push(self, ring, kind, command, port):
        address = self.put(command)
        made = self.read(ring + 4, "<I")
        self.write(ring + 20 + made % 32 * 16, struct.pack("<QII", address, kind, 0))
        self.write(ring + 4, struct.pack("<I", made + 1))
        self.command(port)
        end = time.monotonic() + 60
        while self.read(ring + 12, "<I") != made + 1:
            assert time.monotonic() < end, "nobody takes the command"
            time.sleep(0.01)

    def shape(self, unique, x, y):
        """A pointer that the guest names so, and that looks like no other."""
        data = struct.pack("<I", unique) * SIDE * SIDE
        shape = self.put(struct.pack("<QHHHHHIIQQ", unique, 0, SIDE, SIDE, 0, 0, len(data),
                                     len(data), 0, 0) + data)
        self.cursor(SET, struct.pack("<hhBQ", x, y, 1, shape))

    def moves(self, x, y):
        self.cursor(MOVE, struct.pack("<hh", x, y))
