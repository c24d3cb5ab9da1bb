# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `auto` does for a slow line: photos go as JPEG and the rest deflated while the line to a
stock client is slow, all is exact again when the guest rests, and a fast line has none of it."""
import random
import time
from contextlib import ExitStack

import pytest

from hosts import read_line
from line import Line
from replaying import Replay, recordings
from spice_lab import Client, free_port
from test_spice_control import Control, channel_of

AUTO, STREAMING_OFF, AUTO_GLZ = 1, 1, 2
WIDTH, HEIGHT, SECONDS = 640, 480, 12


def coloured(chance, lines):
    """The same letters, each in a colour of its own: more colours than a palette has."""
    colours = [bytes(chance.randrange(256) for _ in range(3)) + b"\0"
               for _ in range(len(lines[0]) // 32)]
    return [b"".join(colours[at // 32] if any(line[at:at + 4]) else bytes(4)
                     for at in range(0, len(line), 4)) for line in lines]


def gallery(path, width, height):
    """Photos of this size come and go in the upper half, text in the lower; gives the last picture
    as it must be seen, RGB."""
    chance = random.Random(9)
    film = recordings.photo(chance, 700, 500)
    letters = recordings.font(chance)
    pages = [[row for _ in range(5) for row in coloured(
        chance, recordings.text_line(chance, letters, WIDTH // 8))] for _ in range(7)]
    screen = recordings.Screen(WIDTH, HEIGHT)
    with recordings.Recording(path, WIDTH, HEIGHT) as recording:
        def show(left, top, lines):
            right, bottom = left + len(lines[0]) // 4, top + len(lines)
            for y, line in enumerate(lines, top):
                old = screen.lines[y]
                screen.lines[y] = old[:left * 4] + line + old[right * 4:]
            recording.copy((left, top, right, bottom), recordings.Bitmap(
                right - left, bottom - top, b"".join(lines)))

        for step in range(SECONDS * 20):
            recording.at_ms = step * 50
            x, y = chance.randrange(700 - width), chance.randrange(500 - height)
            show(step * width % WIDTH, step * width // WIDTH * height % (HEIGHT // 2),
                 [line[x * 4:(x + width) * 4] for line in film[y:y + height]])
            show(0, HEIGHT // 2 + 80 * (step % 3), chance.choice(pages))
    rows = bytearray(WIDTH * HEIGHT * 3)
    flat = b"".join(screen.lines)
    rows[0::3], rows[1::3], rows[2::3] = flat[2::4], flat[1::4], flat[0::4]
    return bytes(rows)


class Seen:
    """A gallery shown to a stock client over this line: what the display's channel told when the
    guest had drawn all of it (`drawn`), and when the client's picture was exact (`rest`)."""

    def __init__(self, directory, monkeypatch, photo, **line):
        recording, times = directory / "gallery.rec", directory / "gallery.times"
        exact = gallery(recording, *photo)
        recordings.times(recording, times)
        control = directory / "control"
        monkeypatch.setenv("SEGUE_SPICE_CONTROL", str(control))
        replay = Replay("segue", recording, times, compression=AUTO_GLZ, streaming=STREAMING_OFF,
                        jpeg=AUTO, zlib=AUTO)
        port = free_port()
        process = replay.start(port)
        with ExitStack() as stack:
            stack.callback(process.wait, 60)
            stack.callback(process.kill)
            if line:
                port = stack.enter_context(Line(port, **line)).port
            client = stack.enter_context(Client(f"spice://127.0.0.1:{port}"))
            client.wait("primary")
            talk = Control(control)
            assert read_line(process.stdout) == "consumed\n"
            self.drawn = channel_of(talk.status(), "display")["pictures"]
            end = time.monotonic() + 120
            while client.picture(directory / "seen.ppm").data != exact:
                assert time.monotonic() < end, "the picture does not become exact"
                time.sleep(0.3)
            self.rest = channel_of(talk.status(), "display")["pictures"]


@pytest.mark.full
@pytest.mark.parametrize("megabits, rtt_ms, photo", [(2, 20, (160, 120)), (8, 60, (320, 240))])
def test_a_slow_line_is_sent_less_and_what_rests_is_exact(tmp_path, monkeypatch, megabits, rtt_ms,
                                                          photo):
    seen = Seen(tmp_path, monkeypatch, photo, rtt_ms=rtt_ms, bytes_per_second=megabits * 125_000)
    assert seen.drawn["low_bandwidth"], seen.drawn
    assert 0 < seen.drawn["bits_per_second"] < 20_000_000
    assert seen.drawn["forms"].get("jpeg", 0) > 0, seen.drawn
    assert seen.drawn["forms"].get("zlib_glz", 0) > 0, seen.drawn
    assert seen.rest["images"] > seen.drawn["images"], "nothing was made exact"


@pytest.mark.full
def test_a_fast_line_is_sent_all_at_once(tmp_path, monkeypatch):
    # Large pictures: a client that has no processor for a moment is no slow line then.
    seen = Seen(tmp_path, monkeypatch, (320, 240))
    assert not seen.rest["low_bandwidth"], seen.rest
    assert seen.rest["bits_per_second"] > 10_000_000
    assert not {"jpeg", "zlib_glz"} & set(seen.rest["forms"]), seen.rest
