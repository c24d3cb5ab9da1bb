# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SPICE client of bare bytes: it says whatever a test wants it to say."""
import socket
import struct
import subprocess
import tempfile

MAIN, DISPLAY, INPUTS, CURSOR = 1, 2, 3, 4
COMMON_CAPS = 0b1001  # authentication selection, mini header


def no_password(key):
    """An empty password for the server with this key. Ours does not look at it where none is set;
    stock's decrypts it first."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(key)
        file.flush()
        return subprocess.run(
            ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", file.name,
             "-pkeyopt", "rsa_padding_mode:oaep"], input=b"\0", capture_output=True,
            check=True).stdout


class Channel:
    """One connection, linked unless `linked` is false (no password is set on the server)."""

    def __init__(self, machine, kind=MAIN, connection_id=0, number=0, linked=True, caps=0b1101):
        if machine.port:
            self.socket = socket.create_connection(("127.0.0.1", machine.port), 60)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(machine.spice_path))  # waits while the backlog is full
            self.socket.settimeout(60)
        self.result = None
        self.is_stock = machine.library == "stock"
        if linked:
            self.link(kind, connection_id, number, caps)

    def link(self, kind, connection_id=0, number=0, caps=0b1101):
        body = struct.pack("<IBBIIIII", connection_id, kind, number, 1, 1, 18, COMMON_CAPS, caps)
        self.socket.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body)
        header = self.exact(16)
        reply = self.exact(struct.unpack_from("<I", header, 12)[0])
        self.error = struct.unpack_from("<I", reply)[0]
        if self.error:
            return
        ticket = no_password(reply[4:166]) if self.is_stock else bytes(128)
        self.socket.sendall(struct.pack("<I", 1) + ticket)
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
