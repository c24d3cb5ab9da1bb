# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that says what it likes: raw packets of libvirt's protocol, and what comes back."""
import socket
import struct

REMOTE, QEMU, EXTENSION = 0x20008086, 0x20008087, 0x53454755
AUTH_LIST, CONNECT_OPEN, GET_HOSTNAME, LIST_ALL_DOMAINS = 66, 1, 59, 273
CALL, REPLY = 0, 1


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def packet(procedure, body=b"", program=REMOTE, serial=1, kind=CALL, status=0, length=None,
           version=1):
    size = 28 + len(body) if length is None else length
    return struct.pack(">IIIiIIi", size, program, version, procedure, kind, serial, status) + body


class Refused(Exception):
    """An error of the daemon: libvirt's code and the message."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Client:
    def __init__(self, where, timeout=60, is_open=True, read_only=False):
        if isinstance(where, tuple):
            self.socket = socket.create_connection(where, timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(where))
        self.serial = 0
        if is_open:
            self.call(AUTH_LIST)
            self.call(CONNECT_OPEN, struct.pack(">I", 1) + text("qemu:///system")
                      + struct.pack(">I", 1 if read_only else 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the daemon closed the connection")
            data += part
        return data

    def answer(self):
        """The body of the next packet; Refused when it is an error."""
        size = struct.unpack(">I", self.read(4))[0]
        whole = self.read(size - 4)
        if struct.unpack(">i", whole[20:24])[0] != 1:
            return whole[24:]
        code = struct.unpack(">i", whole[24:28])[0]
        length = struct.unpack(">I", whole[36:40])[0]
        raise Refused(code, whole[40:40 + length].decode(errors="replace"))

    def call(self, procedure, body=b"", program=REMOTE):
        self.serial += 1
        self.send(packet(procedure, body, program, self.serial))
        return self.answer()

    def is_closed(self):
        """Whether the daemon has ended this connection; waits for it as long as the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True
