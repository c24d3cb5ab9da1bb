# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every form that a picture or a sound can take is made inside QEMU's sandbox: nothing that the
library or its codecs do is a system call which QEMU has given up, and which would end it."""
from pathlib import Path

import pytest

import guest
from hosts import wait_until
from replaying import COMPRESSIONS
from spice_lab import Client, Machine, environment, same_picture
from test_spice_control import Control, channel_of
from test_spice_sound import HERTZ, heard, pitch

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# A film over a gradient: photo, and what is none.
PAINT = "load=paint:640x480:20:film"


def sandboxed(directory, options, *words, **more):
    machine = Machine(directory, *guest.linux(PAINT, *words, tick=0), "-sandbox", SANDBOX,
                      "-audiodev", "spice,id=snd", machine="pc-i440fx-7.2,pcspk-audiodev=snd",
                      options=options, tcp=True, **more)
    machine.environment = {**environment("segue"),
                           "SEGUE_SPICE_CONTROL": str(directory / "control")}
    return machine


def is_in_the_sandbox(machine):
    """Each of its threads has the filter."""
    threads = list(Path(f"/proc/{machine.process.pid}/task").iterdir())
    return len(threads) > 2 and all("Seccomp:\t2" in (thread / "status").read_text()
                                    for thread in threads)


@pytest.fixture(scope="module", name="exact")
def exact_machine(tmp_path_factory):
    """Loses nothing, and makes no videos; a client says what it prefers."""
    directory = tmp_path_factory.mktemp("exact")
    with sandboxed(directory, "image-compression=off,streaming-video=off") as machine:
        machine.wait_frame(2, timeout=120)
        assert is_in_the_sandbox(machine)
        yield machine, Control(directory / "control")
        assert machine.process.poll() is None


def forms(control, name=None):
    """How many pictures took each form, or this one."""
    shown = channel_of(control.status(), "display")["pictures"]["forms"]
    return shown.get(name, 0) if name else shown


# What each of them makes of a picture that is a photo in one place and none in others.
MODES = [("auto_glz", "quic"), ("auto_glz", "glz"), ("auto_lz", "quic"), ("auto_lz", "lz"),
         ("quic", "quic"), ("glz", "glz"), ("lz", "lz"), ("lz4", "lz4"), ("off", "raw")]


@pytest.mark.full
@pytest.mark.parametrize("mode, form", MODES)
def test_each_compression(exact, tmp_path, mode, form):
    machine, control = exact
    with Client(machine.uri) as client:
        client.linked()
        client.tell(f"prefer {COMPRESSIONS[mode]}")
        before = forms(control, form)
        wait_until(lambda: forms(control, form) > before + 2, what=lambda: forms(control))
        machine.qmp("stop")
        assert same_picture(machine, client, tmp_path)
        machine.qmp("cont")


@pytest.mark.full
def test_what_a_slow_line_gets(tmp_path):
    """JPEG, deflated GLZ, a video as a stream, and Opus."""
    options = ("jpeg-wan-compression=always,zlib-glz-wan-compression=always,"
               "streaming-video=filter,playback-compression=on")
    with sandboxed(tmp_path, options, f"load=beep:{HERTZ}") as machine:
        control = Control(tmp_path / "control")
        with Client(machine.uri, "--devices", tmp_path) as client:
            machine.wait_frame(2, timeout=120)
            wait_until(lambda: forms(control, "jpeg") > 0, what=lambda: forms(control))
            wait_until(lambda: channel_of(control.status(), "display")["pictures"]["frames"] > 10,
                       what=control.status)
            client.tell(f"prefer {COMPRESSIONS['glz']}")
            wait_until(lambda: forms(control, "zlib_glz") > 0, what=lambda: forms(control))
            sound = heard(client, 1)
            assert sound["wire"] < sound["total"] / 4, "raw samples"
            assert abs(pitch(tmp_path / "playback") - HERTZ) < HERTZ * 0.05
        assert machine.process.poll() is None
