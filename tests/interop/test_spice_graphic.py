# SPDX-License-Identifier: LGPL-2.1-or-later
"""Linux's display drivers and Xorg on each of QEMU's adapters, on our library: stock spice-gtk
shows what QEMU's screendump shows, in every mode that loses nothing; and what stock's library
recorded of such guests ends in the same picture on both libraries."""
import graphic
import pytest

from replaying import COMPRESSIONS, Replay, recordings
from spice_lab import Client, Machine, environment, same_picture
from test_spice_control import Control, channel_of
from test_spice_server import screenshot

# The adapter, the kernel's driver for it, and Xorg's. (Without the kernel's, Xorg's own driver of
# qxl ends at a null pointer of its own.)
CARDS = {"qxl": ("qxl-vga", "qxl", "qxl"), "std": ("VGA", "bochs", "modesetting"),
         "virtio": ("virtio-vga", "virtio-gpu", "modesetting")}


def machine_with(directory, card, screen, options="", **more):
    vga, driver, xdriver = CARDS[card]
    machine = Machine(directory, *graphic.linux(driver, screen, xdriver), vga=vga, memory=256,
                      tcp=True, options=options, **more)
    if machine.library == "segue":
        machine.environment = {**environment("segue"),
                               "SEGUE_SPICE_CONTROL": str(directory / "control")}
    return machine


def comes_up(machine, ticks=20):
    """The guest draws: more lines than its terminal has."""
    machine.ticks.wait(1, timeout=240)
    assert "FAILED" not in machine.ticks.text().decode(errors="replace")
    machine.ticks.wait(machine.ticks.last() + ticks, timeout=120)


def comes_to_show(machine, client, directory):
    """Whether the paused machine's picture is the client's. QEMU takes over what the driver of qxl
    has drawn when it is asked while the machine runs: what came right behind that is not in its
    own picture, and it is asked again."""
    for _ in range(8):
        machine.picture()
        machine.qmp("stop")
        if same_picture(machine, client, directory, timeout=6):
            return True
        machine.qmp("cont")
        machine.ticks.wait(machine.ticks.last() + 3, timeout=120)
    return False


def shows_the_same(machine, control, directory, modes):
    """A client of its own for each mode, which it asks for itself."""
    for mode in modes:
        with Client(machine.uri) as client:
            client.linked()
            client.tell(f"prefer {COMPRESSIONS[mode]}")
            machine.ticks.wait(machine.ticks.last() + 15, timeout=120)
            assert comes_to_show(machine, client, directory), mode
            pictures = channel_of(control.status(), "display")["pictures"]
            assert pictures["compression"] == mode
            assert len(set(machine.picture().data)) > 1, "nothing was drawn"
        machine.qmp("cont")


def takes_a_look(tmp_path, card, screen, modes):
    with machine_with(tmp_path, card, screen) as machine:
        control = Control(tmp_path / "control")
        comes_up(machine)
        shows_the_same(machine, control, tmp_path, modes)
        with Client(machine.uri) as client:
            client.linked()
            assert comes_to_show(machine, client, tmp_path)
        shot, dump = screenshot(machine.uri, tmp_path / "shot.ppm"), machine.picture()
        assert (shot.width, shot.height, shot.data) == (dump.width, dump.height, dump.data)


@pytest.mark.full
def test_xorg_on_qxl(tmp_path):
    takes_a_look(tmp_path, "qxl", "xterm", ["auto_glz", "quic", "lz"])


@pytest.mark.soak
@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("screen", ["xterm", "x11perf"])
def test_xorg_on_each_adapter_in_each_mode(tmp_path, card, screen):
    takes_a_look(tmp_path, card, screen, COMPRESSIONS)


@pytest.mark.soak
@pytest.mark.parametrize("card", ["qxl", "std", "virtio"])
def test_the_console_of_each_driver_in_each_mode(tmp_path, card):
    takes_a_look(tmp_path, card, "console", COMPRESSIONS)


def record(directory, monkeypatch, card, screen, ticks):
    """What stock's library was given by such a guest, a client watching."""
    path = directory / f"{card}-{screen}.rec"
    monkeypatch.setenv("SPICE_WORKER_RECORD_FILENAME", str(path))
    with machine_with(directory, card, screen, library="stock") as machine:
        monkeypatch.delenv("SPICE_WORKER_RECORD_FILENAME")
        with Client(machine.uri) as client:
            comes_up(machine, ticks)
            client.wait("mark")
            machine.qmp("stop")
            machine.qmp("quit")
    return path, recordings.times(path, path.with_suffix(".times"))


@pytest.mark.soak
@pytest.mark.parametrize("card, screen", [
    ("qxl", "xterm"), ("qxl", "x11perf"), ("qxl", "console"), ("std", "console"), ("std", "xterm")])
def test_what_stock_recorded_ends_in_its_picture(tmp_path, monkeypatch, card, screen):
    recording, times = record(tmp_path, monkeypatch, card, screen, 40)
    wanted = Replay("stock", recording, times, compression=1).run(tmp_path)["picture"]
    assert (wanted.width, wanted.height) >= (640, 400)
    assert len(set(wanted.data)) > 1, "nothing was drawn"
    for mode, number in COMPRESSIONS.items():
        shown = Replay("segue", recording, times, compression=number).run(tmp_path)["picture"]
        assert shown.data == wanted.data, mode
