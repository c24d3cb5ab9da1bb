# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's end of SPICE devices, held by a test: a socket that a pipe in the guest joins with a
SPICE port (tests/guest, load=pipe), and an agent of the guest that speaks over it."""
import re
import socket
import struct
import threading

GRAB, REQUEST, CLIPBOARD = 7, 8, 4
ANNOUNCE, FILE_START, FILE_STATUS, FILE_DATA = 6, 10, 11, 12
MOUSE, MONITORS, DISCONNECTED = 1, 2, 13
CLIENT_PORT, SERVER_PORT = 1, 2
CAPS = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6  # mouse, monitors, clipboard by demand, selections
TEXT, SUCCESS = 1, 3


def devices(directory, *ports):
    """QEMU arguments of virtio-serial ports (name, spice chardev options), and of one port that is
    a socket in the directory: what the guest's pipe joins."""
    made = ["-device", "virtio-serial-pci,max_ports=8"]
    for name, chardev in ports:
        made += ["-chardev", f"{chardev},id=c-{name}",
                 "-device", f"virtserialport,chardev=c-{name},name={name}"]
    return made + ["-chardev", f"socket,id=peer,path={directory}/peer.sock,server=on,wait=off",
                   "-device", "virtserialport,chardev=peer,name=peer"]


class Peer:
    """Connected to the guest's end."""

    def __init__(self, directory, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(f"{directory}/peer.sock")

    def exact(self, size):
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(min(65536, size - len(data)))
            if not more:
                raise ConnectionError(f"the guest's end closed after {len(data)} of {size} bytes")
            data += more
        return bytes(data)

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Agent(Peer):
    """An agent: takes the client's clipboard when it is offered, and then offers it back; takes
    files. What it saw is in `messages` (port, type, data)."""

    def __init__(self, directory, **more):
        super().__init__(directory, **more)
        self.clipboard = b""
        self.files, self.sizes = {}, {}
        self.messages = []
        self.changed = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def say(self, kind, data):
        message = struct.pack("<IIQI", 1, kind, 0, len(data)) + data
        for at in range(0, len(message), 2048):
            part = message[at:at + 2048]
            self.send(struct.pack("<II", CLIENT_PORT, len(part)) + part)

    def announce(self):
        self.say(ANNOUNCE, struct.pack("<II", 1, CAPS))

    def run(self):
        parts = {CLIENT_PORT: b"", SERVER_PORT: b""}
        try:
            while True:
                port, size = struct.unpack("<II", self.exact(8))
                parts[port] += self.exact(size)
                if len(parts[port]) < 20:
                    continue
                _, kind, _, length = struct.unpack_from("<IIQI", parts[port])
                if len(parts[port]) < 20 + length:
                    continue
                data, parts[port] = parts[port][20:], b""
                if kind == DISCONNECTED:
                    parts[CLIENT_PORT] = b""
                self.obey(kind, data)
                with self.changed:
                    self.messages.append((port, kind, data))
                    self.changed.notify_all()
        except OSError:
            pass

    def obey(self, kind, data):
        if kind == ANNOUNCE and struct.unpack_from("<I", data)[0]:
            self.say(ANNOUNCE, struct.pack("<II", 0, CAPS))
        elif kind == GRAB:
            self.say(REQUEST, struct.pack("<BBBBI", 0, 0, 0, 0, TEXT))
        elif kind == CLIPBOARD:
            self.clipboard = data[8:]
            self.say(GRAB, struct.pack("<BBBBI", 0, 0, 0, 0, TEXT))
        elif kind == REQUEST:
            self.say(CLIPBOARD, struct.pack("<BBBBI", 0, 0, 0, 0, TEXT) + self.clipboard)
        elif kind == FILE_START:
            number, = struct.unpack_from("<I", data)
            self.files[number] = b""
            self.sizes[number] = int(re.search(rb"size=(\d+)", data).group(1))
            self.say(FILE_STATUS, struct.pack("<II", number, 0))
        elif kind == FILE_DATA:
            number, size = struct.unpack_from("<IQ", data)
            self.files[number] += data[12:12 + size]
            if len(self.files[number]) == self.sizes[number]:
                self.say(FILE_STATUS, struct.pack("<II", number, SUCCESS))

    def wait(self, kind, timeout=60, test=lambda data: True):
        """The data of the first message of this kind for which the test holds."""
        def found():
            return next((data for _, seen, data in self.messages if seen == kind and test(data)),
                        None)
        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, timeout), self.messages
            return found()
