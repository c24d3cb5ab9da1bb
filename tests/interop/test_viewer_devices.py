# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent, ports and sound of `segue-view --headless --commands` on stock QEMU with stock's
spice-server and with ours, with a guest that repeats what it hears, also in a move."""
import random
import time

import guest
import pytest
import spice_lab
import viewer

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])
PORT = "org.segue.echo"


def echo_guest(directory):
    """COM2 is the agent's line, COM3 a SPICE port: echo.s answers on both, and hums."""
    return ["-vga", "qxl",
            "-chardev", "spicevmc,id=agent,name=vdagent",
            "-device", "isa-serial,chardev=agent,index=1",
            "-chardev", f"spiceport,id=port,name={PORT}",
            "-device", "isa-serial,chardev=port,index=2",
            "-audiodev", "spice,id=sound", "-machine", "pcspk-audiodev=sound",
            *guest.echo_disk(directory / "disk.img")]


def virtio_guest():
    """The same with Linux on virtio ports, which are closed until the guest is there, as a real
    agent's: stock's server aborts where an agent is attached before its state has come."""
    return ["-vga", "qxl", "-device", "virtio-serial-pci",
            "-chardev", "spicevmc,id=agent,name=vdagent",
            "-device", "virtserialport,chardev=agent,name=com.redhat.spice.0",
            "-chardev", f"spiceport,id=port,name={PORT}",
            "-device", f"virtserialport,chardev=port,name={PORT}", *guest.linux("echo")]


def on(library):
    return {"environment": spice_lab.environment(library)}


def view_of(directory, vm, *options, **more):
    """A viewer of a guest that has begun to listen: before that, bytes are nobody's."""
    vm.ticks.wait(1, timeout=120)
    return viewer.Viewer(directory, f"spice://127.0.0.1:{vm.port}", "--commands", *options, **more)


def wait_open(view):
    """Until the guest has opened the port: what is sent before is nobody's."""
    end = time.monotonic() + 60
    while not any(event["open"] for event in view.named("port")):
        assert time.monotonic() < end, view.named("port")
        time.sleep(0.02)


def heard(view):
    """All that came back on the port."""
    return "".join(event["text"] for event in view.named("port-data"))


def wait_heard(view, text, timeout=60):
    end = time.monotonic() + timeout
    while len(heard(view)) < len(text):
        if time.monotonic() > end:
            raise TimeoutError(f"{len(heard(view))} of {len(text)} bytes came: {view.names()[-5:]}")
        time.sleep(0.05)
    assert heard(view) == text


def lines(first, last):
    return "".join(f"line {number:05}\n" for number in range(first, last))


def paste(view, count):
    view.tell("paste")
    return view.wait("clipboard", count, timeout=60)["text"]


@pytest.mark.full
@LIBRARIES
def test_the_clipboard_goes_to_the_agent_and_back(tmp_path, library):
    with viewer.spice_qemu(tmp_path / "vm", *echo_guest(tmp_path), **on(library)) as vm, \
            view_of(tmp_path / "view", vm) as view:
        assert view.wait("agent", timeout=60)["ready"] is True
        # Longer than a chunk, and than all tokens together: the rest waits for the guest.
        for count, text in enumerate(("short", "long " * 8000), 1):
            view.tell("clipboard", text=text)
            assert paste(view, count) == text
        # A picture: bytes of a type of their own.
        copied, pasted = tmp_path / "copied.png", tmp_path / "pasted.png"
        copied.write_bytes(random.Random(1).randbytes(30000))
        view.tell("clipboard", type="image_png", path=str(copied))
        view.tell("paste", type="image_png", path=str(pasted))
        event = view.wait("clipboard", 3, timeout=60)
        assert (event["type"], event["bytes"]) == ("image_png", 30000)
        assert pasted.read_bytes() == copied.read_bytes()
        assert view.stop() == 0


@pytest.mark.full
@LIBRARIES
def test_a_port_carries_bytes_both_ways(tmp_path, library):
    with viewer.spice_qemu(tmp_path / "vm", *echo_guest(tmp_path), **on(library)) as vm, \
            view_of(tmp_path / "view", vm) as view:
        assert view.wait("port")["name"] == PORT
        view.wait("agent", timeout=60)
        view.tell("port", name=PORT, text=lines(0, 500))
        wait_heard(view, lines(0, 500))
        assert view.stop() == 0


@pytest.mark.full
@LIBRARIES
def test_no_byte_is_lost_or_doubled_by_a_seamless_move(tmp_path, library):
    machine = virtio_guest()
    with viewer.spice_qemu(tmp_path / "a", *machine, **on(library)) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True, **on(library)) as target, \
            view_of(tmp_path / "view", source) as view:
        view.wait("connected")
        view.wait("agent", timeout=60)
        wait_open(view)
        view.tell("clipboard", text="carried " * 3000)
        sent = 0
        viewer.announce(source, target)
        view.wait("target-connected", timeout=60)
        path = target.directory / "migrate.sock"
        target.qmp("migrate-incoming", uri=f"unix:{path}")
        source.qmp("migrate", uri=f"unix:{path}")
        view.tell("paste")
        end = time.monotonic() + 120
        while not view.named("migrate-done"):
            assert time.monotonic() < end, view.names()
            view.tell("port", name=PORT, text=lines(sent, sent + 20))
            sent += 20
            time.sleep(0.02)
        view.tell("port", name=PORT, text=lines(sent, sent + 20))
        sent += 20
        assert view.named("switch")[0]["manner"] == "seamless"
        wait_heard(view, lines(0, sent), timeout=60)
        assert view.wait("clipboard", timeout=60)["text"] == "carried " * 3000
        assert paste(view, 2) == "carried " * 3000
        assert len(view.named("agent")) == 1, "the agent never left"
        assert view.stop() == 0


@pytest.mark.full
@pytest.mark.parametrize("manner", ["semi-seamless", "switch-host"])
def test_an_agent_and_a_port_begin_anew_at_a_new_server(tmp_path, manner):
    masks = {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"}
    if manner == "switch-host":
        masks["SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE"] = "0"
    machine = echo_guest(tmp_path)
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target, \
            view_of(tmp_path / "view", source, environment=masks) as view:
        view.wait("connected")
        view.wait("agent", timeout=60)
        viewer.announce(source, target)
        if manner == "semi-seamless":
            view.wait("target-connected", timeout=60)
        viewer.migrate(source, target)
        assert view.wait("migrate-done", timeout=60)["manner"] == manner
        states = [view.wait("agent", count, timeout=60)["ready"] for count in (1, 2, 3)]
        assert states == [True, False, True]
        before = len(heard(view))
        view.tell("port", name=PORT, text=lines(0, 50))
        end = time.monotonic() + 60
        while heard(view)[before:] != lines(0, 50) and time.monotonic() < end:
            time.sleep(0.05)
        assert heard(view)[before:] == lines(0, 50)
        assert view.stop() == 0


@pytest.mark.full
@LIBRARIES
@pytest.mark.parametrize("compression", ["on", "off"], ids=["opus", "raw"])
def test_sound_is_heard(tmp_path, compression, library):
    with viewer.spice_qemu(tmp_path / "vm", *echo_guest(tmp_path), **on(library),
                           spice=f",playback-compression={compression}") as vm, \
            view_of(tmp_path / "view", vm) as view:
        start = view.wait("sound-start", timeout=60)
        assert start["channels"] in (1, 2) and start["frequency"] >= 8000
        assert view.wait("sound", timeout=60)["peak"] > 1000
        assert view.stop() == 0


@pytest.mark.full
def test_a_watcher_says_nothing_to_the_guest(tmp_path):
    with viewer.spice_qemu(tmp_path / "vm", *echo_guest(tmp_path)) as vm, \
            view_of(tmp_path / "view", vm, "--read-only") as view:
        view.wait("port", timeout=60)
        view.wait("sound", timeout=60)
        view.tell("port", name=PORT, text="hush")
        view.tell("clipboard", text="hush")
        view.tell("paste")
        view.wait("frame")
        time.sleep(1)
        assert not view.named("port-data", "agent", "clipboard")
        assert view.stop() == 0
