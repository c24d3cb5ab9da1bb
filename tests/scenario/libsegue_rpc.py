# SPDX-License-Identifier: LGPL-2.1-or-later
"""Segue's extension program (src/rpc/extension.schema) over a unix socket, in plain Python: what
tests and ./run ask that libvirt has no words for."""
import json
import socket
import struct

REMOTE, EXTENSION = 0x20008086, 0x53454755
AUTH_LIST, CONNECT_OPEN = 66, 1
QUERY, COMMAND = 1, 2


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


class Connection:
    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.serial = 0
        self.call(REMOTE, AUTH_LIST, b"")
        self.call(REMOTE, CONNECT_OPEN, struct.pack(">I", 1) + text("qemu:///system")
                  + struct.pack(">I", 0))

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the daemon closed the connection")
            data += part
        return data

    def call(self, program, procedure, body):
        self.serial += 1
        self.socket.sendall(struct.pack(">IIIiIIi", 28 + len(body), program, 1, procedure, 0,
                                        self.serial, 0) + body)
        size = struct.unpack(">I", self.read(4))[0]
        packet = self.read(size - 4)
        status = struct.unpack(">i", packet[20:24])[0]
        if status != 0:
            length = struct.unpack(">I", packet[36:40])[0]
            raise RuntimeError(packet[40:40 + length].decode(errors="replace"))
        return packet[24:]

    def ask(self, procedure, name, arguments):
        reply = self.call(EXTENSION, procedure, text(name) + text(json.dumps(arguments)))
        size = struct.unpack(">I", reply[:4])[0]
        return json.loads(reply[4:4 + size])

    def close(self):
        self.socket.close()


def query(path, name, arguments=None):
    connection = Connection(path)
    try:
        return connection.ask(QUERY, name, arguments or {})
    finally:
        connection.close()


def command(path, name, arguments=None):
    connection = Connection(path)
    try:
        return connection.ask(COMMAND, name, arguments or {})
    finally:
        connection.close()
