# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PC speaker of a guest, heard by stock spice-gtk; what spice-gtk says, recorded by a guest;
both also behind a move."""
import math
import struct
import time

import guest
import pytest
import sounding

from spice_lab import Client, Machine, migrate

HERTZ, RATE = 1000, 48000


def speaker(directory, options="", **more):
    more.setdefault("tcp", True)
    return Machine(directory, *guest.linux(f"load=beep:{HERTZ}", tick=0),
                   "-audiodev", "spice,id=snd", machine="pc-i440fx-7.2,pcspk-audiodev=snd",
                   options=options, **more)


def pitch(path, seconds=0.5):
    """Waves a second in the last sound of the file (left channel)."""
    data = path.read_bytes()
    data = data[len(data) % 4:][-int(RATE * seconds) * 4:]
    left = struct.unpack(f"<{len(data) // 2}h", data)[::2]
    middle = (max(left) + min(left)) // 2
    assert max(left) - min(left) > 1000, "silence"
    waves = sum(a < middle <= b for a, b in zip(left, left[1:]))
    return waves / (len(left) / RATE)


def heard(client, seconds, start=0):
    """Waits for so much sound; the last event about it."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for event in client.drain():
            if event["event"] == "sound" and event["total"] - start > seconds * RATE * 4:
                return event
        time.sleep(0.1)
    raise TimeoutError(f"only {[e for e in client.events if e['event'] == 'sound'][-1:]}")


@pytest.mark.soak
@pytest.mark.parametrize("compression", ["on", "off"])
def test_the_speaker_is_heard(tmp_path, compression):
    with speaker(tmp_path, f"playback-compression={compression}") as vm:
        with Client(vm.uri, "--devices", tmp_path) as client:
            start = client.wait("playback-start", 90)
            assert (start["rate"], start["channels"]) == (RATE, 2)
            sound = heard(client, 1.5)
            # Opus does to a tone what raw samples cannot.
            assert (sound["wire"] < sound["total"] / 4) == (compression == "on"), sound
            assert abs(pitch(tmp_path / "playback") - HERTZ) < HERTZ * 0.05


@pytest.mark.soak
@pytest.mark.parametrize("seamless", ["on", "off"])
def test_the_speaker_goes_along(tmp_path, seamless):
    options = f"seamless-migration={seamless}"
    first = speaker(tmp_path / "source", options)
    second = speaker(tmp_path / "target", options)
    second.argv += ["-incoming", f"unix:{tmp_path}/migrate.sock"]
    with first, second, Client(first.uri, "--devices", tmp_path) as client:
        client.wait("playback-start", 90)
        heard(client, 0.5)
        migrate(first, second, tmp_path)
        first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
        client.wait("migration", 60, state="none")
        total = max(event["total"] for event in client.drain() if event["event"] == "sound")
        (tmp_path / "playback").write_bytes(b"")
        heard(client, 1, total)
        assert abs(pitch(tmp_path / "playback") - HERTZ) < HERTZ * 0.05
        assert client.count("disconnected") == 0


def microphone(directory, options=""):
    return Machine(directory, *sounding.linux("load=listen"), "-audiodev", "spice,id=snd",
                   "-device", "intel-hda", "-device", "hda-duplex,audiodev=snd,mixer=off",
                   tcp=True, memory=256, options=options)


def tone(path, hertz, seconds=120):
    """Writes whole waves, S16 stereo."""
    samples = [round(9000 * math.sin(2 * math.pi * at * hertz / RATE))
               for at in range(RATE // hertz)]
    wave = b"".join(struct.pack("<2h", sample, sample) for sample in samples)
    path.write_bytes(wave * (seconds * hertz))
    return path


def hears(machine, hertz, windows=3):
    """Waits until the guest has heard the tone for so many half seconds behind each other."""
    heard = guest.Ticks(machine.ticks.path, "heard")
    end = time.monotonic() + 180
    while time.monotonic() < end:
        run = 0
        for found in heard.all():
            run = run + 1 if abs(found - hertz) < hertz * 0.05 else 0
            if run == windows:
                return
        time.sleep(0.2)
    raise TimeoutError(f"{heard.all()[-20:]} Hz, not {hertz}; {heard.text()[-300:]!r}")


@pytest.mark.soak
@pytest.mark.parametrize("compression", ["on", "off"])
def test_a_guest_records(tmp_path, compression):
    with microphone(tmp_path, f"playback-compression={compression}") as vm:
        with Client(vm.uri, "--devices", tmp_path) as client:
            client.tell(f"record {tone(tmp_path / 'speech', 750)}")
            start = client.wait("record-start", 240)
            assert (start["rate"], start["channels"]) == (RATE, 2)
            hears(vm, 750)


@pytest.mark.soak
@pytest.mark.parametrize("seamless", ["on", "off"])
def test_the_microphone_goes_along(tmp_path, seamless):
    options = f"seamless-migration={seamless}"
    first = microphone(tmp_path / "source", options)
    second = microphone(tmp_path / "target", options)
    second.argv += ["-incoming", f"unix:{tmp_path}/migrate.sock"]
    with first, second, Client(first.uri, "--devices", tmp_path) as client:
        client.tell(f"record {tone(tmp_path / 'speech', 750)}")
        hears(first, 750)
        migrate(first, second, tmp_path)
        first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
        client.wait("migration", 60, state="none")
        hears(second, 750)
        assert client.count("disconnected") == 0
