# SPDX-License-Identifier: LGPL-2.1-or-later
"""A streaming agent in a guest, whose end the test holds: its video and its pointer on stock
spice-gtk. On stock's library, too: the test itself is checked by it."""
import struct
import time

import gi
import pytest

import vdagent
from spice_lab import Client
from test_spice_devices import machine, wait_for_guest

gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf  # noqa: E402

NAME = "org.spice-space.stream.0"
CAPABILITIES, FORMAT, DATA, START_STOP, NOTIFY_ERROR, CURSOR_SET, CURSOR_MOVE = range(1, 8)
MJPEG, ALPHA_CURSOR = 1, 0
WIDTH, HEIGHT, COLOUR = 320, 240, (0x30, 0x60, 0xc0)


def jpeg(colour):
    picture = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, WIDTH, HEIGHT)
    picture.fill(colour[0] << 24 | colour[1] << 16 | colour[2] << 8 | 0xff)
    return picture.save_to_bufferv("jpeg", ["quality"], ["90"])[1]


class Streamer(vdagent.Peer):
    """A streaming agent, as much of it as the test says."""

    def say(self, kind, data):
        self.send(struct.pack("<BBHI", 1, 0, kind, len(data)) + data)

    def hear(self, kind):
        """The body of the next message of this kind."""
        while True:
            version, _, heard, size = struct.unpack("<BBHI", self.exact(8))
            assert version == 1
            body = self.exact(size)
            if heard == kind:
                return body

    def format(self):
        self.say(FORMAT, struct.pack("<IIB3x", WIDTH, HEIGHT, MJPEG))


def is_shown(client, display, path, colour):
    picture = client.picture(path, display)
    middle = (HEIGHT // 2 * WIDTH + WIDTH // 2) * 3
    shown = picture.data[middle:middle + 3]
    return picture.width == WIDTH and all(abs(a - b) < 8 for a, b in zip(shown, colour))


@pytest.mark.full
@pytest.mark.parametrize("library", ["segue", "stock"])
def test_a_guest_streams_its_own_screen(tmp_path, library):
    with machine(tmp_path, NAME, f"spiceport,name={NAME}", library) as vm:
        wait_for_guest(vm)
        with Streamer(tmp_path, timeout=60) as streamer:
            streamer.hear(CAPABILITIES)
            with Client(vm.uri) as client:
                codecs = streamer.hear(START_STOP)
                assert codecs[0] >= 1 and MJPEG in codecs[1:]
                client.wait("primary", 60)
                streamer.format()
                display = client.wait("primary", 60, width=WIDTH, height=HEIGHT)["display"]
                frame = jpeg(COLOUR)
                end = time.monotonic() + 60
                while True:
                    streamer.say(DATA, frame)
                    if is_shown(client, display, tmp_path / "shot.ppm", COLOUR):
                        break
                    assert time.monotonic() < end, "no frame is shown"
                    time.sleep(0.1)
                streamer.say(CURSOR_SET, struct.pack("<HHHHB3x", 8, 4, 1, 2, ALPHA_CURSOR)
                             + bytes(8 * 4 * 4))
                client.wait("cursor", 60, width=8, height=4, hot_x=1, hot_y=2)
                streamer.say(CURSOR_MOVE, struct.pack("<ii", 17, 23))
                client.wait("cursor-move", 60, x=17, y=23)
                client.tell("quit")
            assert streamer.hear(START_STOP)[0] == 0, "nobody looks"
            # What no agent says ends it, and nothing else.
            streamer.say(99, b"")
            assert streamer.hear(NOTIFY_ERROR)[:4] == bytes(4)
            assert vm.qmp("query-status")["running"]
