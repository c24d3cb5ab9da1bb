# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a stock client shows at the end of a recording is the same on our library and on stock's."""
import guest
import pytest

from replaying import COMPRESSIONS, Replay, recordings, scene
from spice_lab import Client, Machine

# Fast enough to be waited for, slow enough that frames are not left out as a whole.
SECONDS = 1.5


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def stock_pictures(directory):
    """{scene: the picture on stock's library}, uncompressed: the reference for every mode."""
    pictures = {}

    def picture(name, seconds=SECONDS):
        if (name, seconds) not in pictures:
            replay = Replay("stock", *scene(name, directory, seconds), compression=1)
            pictures[name, seconds] = replay.run(directory)["picture"].data
        return pictures[name, seconds]
    return picture


CASES = [("console", "auto_glz"), ("console", "quic"), ("desktop", "off"), ("desktop", "glz"),
         ("mixed", "auto_lz"), ("mixed", "lz"), ("desktop", "lz4"), ("video", "auto_glz")]
REST = [(name, mode) for name in ("console", "desktop", "mixed", "paint", "video")
        for mode in COMPRESSIONS if (name, mode) not in CASES]


def check(directory, stock_pictures, name, mode):
    replay = Replay("segue", *scene(name, directory, SECONDS), compression=COMPRESSIONS[mode])
    assert replay.run(directory)["picture"].data == stock_pictures(name)


@pytest.mark.full
@pytest.mark.parametrize("name, mode", CASES)
def test_the_last_picture_is_that_of_stock(directory, stock_pictures, name, mode):
    check(directory, stock_pictures, name, mode)


@pytest.mark.soak
@pytest.mark.parametrize("name, mode", REST)
def test_the_last_picture_is_that_of_stock_in_every_mode(directory, stock_pictures, name, mode):
    check(directory, stock_pictures, name, mode)


@pytest.mark.full
def test_a_recording_of_qemu_replays(tmp_path, monkeypatch):
    """Made by stock's library inside QEMU, ended in the middle of whatever it wrote."""
    recording = tmp_path / "qemu.rec"
    monkeypatch.setenv("SPICE_WORKER_RECORD_FILENAME", str(recording))
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), library="stock") as machine:
        with Client(machine.uri) as client:
            client.wait("mark")
            machine.wait_frame(15)
            machine.qmp("stop")
            machine.qmp("quit")
    monkeypatch.delenv("SPICE_WORKER_RECORD_FILENAME")
    times = recordings.times(recording, tmp_path / "qemu.times")
    pictures = [Replay(library, recording, times, compression=2).run(tmp_path)["picture"]
                for library in ("stock", "segue")]
    assert pictures[0].width >= 320
    assert len(set(pictures[0].data)) > 1, "something was drawn"
    assert pictures[0].data == pictures[1].data


def most_apart(one, other):
    return max(abs(a - b) for a, b in zip(one, other))


@pytest.mark.full
def test_photos_are_lossy_at_first_and_exact_at_rest(directory, stock_pictures):
    """jpeg-wan-compression=always: JPEG while it moves; what stands still is made exact, which a
    busy host brings about in the middle: then it is tried again."""
    replay = Replay("segue", *scene("video", directory, SECONDS), compression=2, jpeg=2)
    # Not auto: that finds what has moved in its window, and sends little of it.
    exact = Replay("segue", *scene("video", directory, SECONDS),
                   compression=COMPRESSIONS["quic"])
    exact_run = exact.run(directory)
    for _ in range(4):
        lossy_run = replay.run(directory)
        if lossy_run["bytes"] * 2 < exact_run["bytes"]:
            break
    assert lossy_run["bytes"] * 2 < exact_run["bytes"]
    # At rest for 1.5 s: either still JPEG, and like it, or repaired, and the same.
    assert most_apart(lossy_run["picture"].data, stock_pictures("video")) < 48


@pytest.mark.full
def test_a_video_goes_as_a_stream(directory, stock_pictures):
    """streaming-video=filter: the stock client is sent MJPEG, a fraction of the images' bytes. A
    video is what comes without a gap of 200 ms for 20 frames: on a busy host not at every try."""
    seconds = 4
    recording = scene("video", directory, seconds)
    for _ in range(4):
        streamed = Replay("segue", *recording, compression=2, streaming=3).run(directory)
        if streamed["streams"]:
            break
    images = Replay("segue", *recording, compression=COMPRESSIONS["quic"],
                    streaming=1).run(directory)
    assert streamed["streams"] > 0
    assert images["streams"] == 0
    assert streamed["bytes"] < images["bytes"]
    assert most_apart(streamed["picture"].data, stock_pictures("video", seconds)) < 64
