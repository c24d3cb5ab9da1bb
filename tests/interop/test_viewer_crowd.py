# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SPICE server of the test's own, which has more channels than a machine can have."""
import socket
import struct
import subprocess
import threading

import pytest

import viewer

MAIN, DISPLAY, INPUTS, CURSOR, PORT = 1, 2, 3, 4, 10
PING, PONG, INIT, ATTACH, CHANNELS = 4, 3, 103, 104, 104
CHANNELS_AT_MOST, DISPLAYS_AT_MOST = 64, 16  # docs/threats.md


class Crowd:
    """Takes every link, whatever the ticket; a context manager. `linked`: (type, id) of each."""

    def __init__(self, directory):
        private = directory / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", private, "1024"], check=True,
                       capture_output=True)
        self.key = subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-outform", "DER"],
                                  check=True, capture_output=True).stdout
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.changed = threading.Condition()
        self.linked, self.sockets = [], []
        self.main = None

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        for one in self.sockets:
            one.close()

    def accept(self):
        while True:
            try:
                one = self.listener.accept()[0]
            except OSError:
                return
            self.sockets.append(one)
            threading.Thread(target=self.link, args=(one,), daemon=True).start()

    def link(self, one):
        try:
            size, = struct.unpack_from("<I", one.recv(16, socket.MSG_WAITALL), 12)
            asked = one.recv(size, socket.MSG_WAITALL)
            common = 0b1011  # auth selection, ticket, mini header
            reply = struct.pack("<I162sIIII", 0, self.key, 1, 0, 178, common)
            one.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(reply)) + reply)
            one.recv(4 + 128, socket.MSG_WAITALL)
            one.sendall(struct.pack("<I", 0))
        except (OSError, struct.error):
            return
        with self.changed:
            self.linked.append((asked[4], asked[5]))
            if asked[4] == MAIN:
                self.main = one
            self.changed.notify_all()

    def say(self, kind, body):
        self.main.sendall(struct.pack("<HI", kind, len(body)) + body)

    def hear(self, wanted):
        while True:
            kind, size = struct.unpack("<HI", self.main.recv(6, socket.MSG_WAITALL))
            self.main.recv(size, socket.MSG_WAITALL)
            if kind == wanted:
                return

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, 60), self.linked


@pytest.mark.full
def test_a_server_of_many_channels_gets_no_more_than_a_machine_has(tmp_path):
    with Crowd(tmp_path) as crowd, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{crowd.port}",
                          "--commands") as view:
        crowd.wait(lambda: crowd.main is not None)
        crowd.main.settimeout(60)
        crowd.say(INIT, struct.pack("<8I", 7, 1, 3, 1, 0, 0, 0, 0))
        crowd.hear(ATTACH)
        usual = [(INPUTS, 0), (CURSOR, 0)]
        # Each list is within its own limit.
        for channels in (usual + [(DISPLAY, number) for number in range(40)],
                         [(PORT, number) for number in range(100)],
                         [(PORT, number) for number in range(100, 200)]):
            crowd.say(CHANNELS, struct.pack("<I", len(channels)) +
                      b"".join(struct.pack("BB", *one) for one in channels))
        crowd.wait(lambda: len(set(crowd.linked)) >= CHANNELS_AT_MOST)
        # What it would link besides would be on its way before this answer.
        crowd.say(PING, struct.pack("<IQ", 1, 2))
        crowd.hear(PONG)
        linked = set(crowd.linked)
        assert len(linked) == CHANNELS_AT_MOST
        assert sum(kind == DISPLAY for kind, _ in linked) == DISPLAYS_AT_MOST
        left_out = [event for event in view.named("error") if "is left out" in str(event)]
        assert len(left_out) == 3 + 240 - CHANNELS_AT_MOST
