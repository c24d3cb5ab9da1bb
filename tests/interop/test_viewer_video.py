# SPDX-License-Identifier: LGPL-2.1-or-later
"""Video on `segue-view`: MJPEG streams that a server finds in a recording, and those of a guest
that streams its own screen, on stock's library and on ours."""
import time

import cells
import pytest
import viewer

from hosts import free_port, read_line
from replaying import Replay, scene
from test_spice_devices import machine, wait_for_guest
from test_spice_replay import most_apart
from test_spice_stream import COLOUR, HEIGHT, MJPEG, NAME, START_STOP, WIDTH, DATA, Streamer, jpeg

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])


def picture(view, path):
    taken = len(view.named("screenshot"))
    view.tell("screenshot", path=str(path))
    view.wait("screenshot", taken + 1)
    return cells.Picture.read(path)


def last_picture(view, path):
    """What it shows when nothing new has come for a while."""
    seen, since = -1, time.monotonic()
    end = since + 60
    while time.monotonic() - since < 1.5:
        now = len(view.named("frame"))
        if now != seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() < end, "the video does not end"
        time.sleep(0.1)
    return picture(view, path)


def replay(tmp_path, library, streaming):
    """(last picture, codecs seen) of the film in the recordings."""
    played = Replay(library, *scene("video", tmp_path, 3), compression=2, streaming=streaming)
    return watch(played, tmp_path, f"streaming-{streaming}")


def watch(played, tmp_path, name):
    """(last picture, codecs seen) of a replay."""
    port = free_port()
    process = played.start(port)
    try:
        with viewer.Viewer(tmp_path / name, f"spice://127.0.0.1:{port}", "--commands") as view:
            assert read_line(process.stdout) == "consumed\n"
            shown = last_picture(view, tmp_path / f"{name}.png")
            assert not view.named("error")
            return shown, {frame["codec"] for frame in view.named("frame")}
    finally:
        process.kill()
        process.wait()


@pytest.mark.full
@LIBRARIES
def test_a_film_comes_as_mjpeg(tmp_path, library):
    exact, plain = replay(tmp_path, library, 1)
    assert "mjpeg" not in plain
    # Only what comes without a gap is a film: on a busy host not at every try.
    for attempt in range(4):
        (tmp_path / str(attempt)).mkdir()
        streamed, codecs = replay(tmp_path / str(attempt), library, 3)
        if "mjpeg" in codecs:
            break
    assert "mjpeg" in codecs
    assert (streamed.width, streamed.height) == (exact.width, exact.height)
    assert most_apart(streamed.data, exact.data) < 64


@pytest.mark.full
@LIBRARIES
def test_a_guest_streams_its_own_screen(tmp_path, library):
    with machine(tmp_path, NAME, f"spiceport,name={NAME}", library, tcp=True) as vm:
        wait_for_guest(vm)
        with Streamer(tmp_path, timeout=60) as streamer, \
                viewer.Viewer(tmp_path / "view", vm.uri, "--commands") as view:
            while MJPEG not in (codecs := streamer.hear(START_STOP))[1:]:
                assert codecs[0] == 0
            view.wait("frame", timeout=60)
            streamer.format()
            end = time.monotonic() + 60
            while True:
                streamer.say(DATA, jpeg(COLOUR))
                frames = [f for f in view.named("frame") if f["codec"] == "mjpeg"]
                if frames and (frames[-1]["width"], frames[-1]["height"]) == (WIDTH, HEIGHT):
                    shown = picture(view, tmp_path / "shot.png")
                    middle = (HEIGHT // 2 * WIDTH + WIDTH // 2) * 3
                    if shown.width == WIDTH and most_apart(shown.data[middle:middle + 3],
                                                           COLOUR) < 8:
                        break
                assert time.monotonic() < end, "no frame is shown"
                time.sleep(0.1)
            assert view.stop() == 0
