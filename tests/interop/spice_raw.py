# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SPICE client of bare bytes: it says whatever a test wants it to say."""
import socket
import struct

MAIN, DISPLAY, INPUTS, CURSOR = 1, 2, 3, 4
COMMON_CAPS = 0b1001  # authentication selection, mini header


class Channel:
    """One connection, linked unless `linked` is false (no password is set on the server)."""

    def __init__(self, machine, kind=MAIN, connection_id=0, number=0, linked=True):
        if machine.port:
            self.socket = socket.create_connection(("127.0.0.1", machine.port), 60)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(machine.spice_path))  # waits while the backlog is full
            self.socket.settimeout(60)
        self.result = None
        if linked:
            self.link(kind, connection_id, number)

    def link(self, kind, connection_id=0, number=0):
        body = struct.pack("<IBBIIIII", connection_id, kind, number, 1, 1, 18, COMMON_CAPS, 0b1101)
        self.socket.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body)
        header = self.exact(16)
        reply = self.exact(struct.unpack_from("<I", header, 12)[0])
        self.error = struct.unpack_from("<I", reply)[0]
        if self.error:
            return
        self.socket.sendall(struct.pack("<I", 1) + bytes(128))
        self.result = struct.unpack("<I", self.exact(4))[0]

    def exact(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError(f"the server closed after {len(data)} of {size} bytes")
            data += more
        return data

    def send(self, number, body=b""):
        self.socket.sendall(struct.pack("<HI", number, len(body)) + body)

    def receive(self):
        number, size = struct.unpack("<HI", self.exact(6))
        return number, self.exact(size)

    def session(self):
        """The session id of INIT (main channel)."""
        while True:
            number, body = self.receive()
            if number == 103:
                return struct.unpack_from("<I", body)[0]

    def is_closed(self, timeout=60):
        """Reads until the server closes the connection."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except (TimeoutError, socket.timeout):
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
