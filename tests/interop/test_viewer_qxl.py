# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue-view` and a guest with the native QXL driver (test_spice_qxl.py), on stock's library and
on ours: its picture, also through a seamless move, and a pointer that the guest has set."""
import time

import cells
import pytest
import spice_lab
import viewer
from hosts import wait_until
from test_spice_qxl import boot_arguments  # noqa: F401  (the fixture "boot")
from test_viewer_window import WindowViewer, wait_channels
from xvfb import Screen

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])
PLACE = 300, 200
SIDE = 64


def machine(directory, boot, library, *more, loads=""):
    directory.mkdir()
    *arguments, line = map(str, boot)
    return spice_lab.Machine(directory, *arguments, line + loads, *more, library=library,
                             vga="qxl-vga", memory=256, tcp=True, options="seamless-migration=on")


def has_driver(vm):
    vm.ticks.wait(5, timeout=240)
    assert "no " not in vm.ticks.text().decode(errors="replace")


def key_of(picture):
    return picture.width, picture.height, bytes(picture.data)


def comes_to_show(vm, look, expected=key_of, timeout=90):
    """Whether look() is what QEMU shows, at a time at which the guest has drawn nothing for a
    moment. QEMU takes over what this driver has drawn only when it is asked while the machine
    runs."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        vm.picture()
        vm.qmp("stop")
        wanted = expected(vm.picture())
        same = False
        for _ in range(4):
            same = same or look() == wanted
            time.sleep(0 if same else 0.25)
        vm.qmp("cont")
        if same:
            return True
        time.sleep(0.3)
    return False


def picture_of(view):
    def look():
        taken = len(view.named("screenshot"))
        view.tell("screenshot", path=str(view.screenshot))
        view.wait("screenshot", taken + 1)
        return key_of(cells.Picture.read(view.screenshot))
    return look


def lives(vm, ticks):
    """Whether the guest counts on so far behind its move. QEMU 7.2 loses a page of a guest under
    TCG in one move of ten or so, on stock's library and without a viewer, too; this guest's
    kernel finds its lists broken then, or says nothing any more."""
    end = time.monotonic() + 60
    while vm.ticks.last() < ticks and time.monotonic() < end:
        time.sleep(0.2)
    return vm.ticks.last() >= ticks


def is_shown_here_and_there(directory, boot, library):
    """False: QEMU broke the guest."""
    directory.mkdir()
    with machine(directory / "a", boot, library) as source, \
            machine(directory / "b", boot, library, "-incoming", "defer") as target:
        has_driver(source)
        with viewer.Viewer(directory / "view", source.uri, "--commands") as view:
            view.wait("connected")
            source.ticks.wait(source.ticks.last() + 60, timeout=120)  # more lines than fit
            assert comes_to_show(source, picture_of(view))
            before = len(view.named("frame"))
            viewer.announce(source, target)
            view.wait("target-connected")
            wait_until(lambda: len(target.channels()) == 4, 60, "the links")
            viewer.migrate(source, target)
            assert view.wait("migrate-done")["manner"] == "seamless"
            if not lives(target, source.ticks.last() + 10):
                return False
            assert comes_to_show(target, picture_of(view))
            shown = view.named("frame")[before:]
            assert {(frame["width"], frame["height"]) for frame in shown} == {(1024, 768)}
            assert not view.named("disconnected")
            assert view.stop() == 0
            return True


@pytest.mark.soak
@LIBRARIES
def test_the_native_driver_is_shown_here_and_there(tmp_path, boot, library):
    assert any(is_shown_here_and_there(tmp_path / str(number), boot, library)
               for number in range(4)), "no guest outlived its move"


def with_pointer(picture):
    """What a user sees: the guest's screen, and on it the pointer of loads/pointer.c."""
    left, top = PLACE
    data = bytearray(picture.data)
    for y in range(SIDE):
        for x in range(SIDE // 2):
            at = ((top + y) * picture.width + left + x) * 3
            data[at:at + 3] = bytes((x * 8, y * 4, 0x80))
    return picture.width, picture.height, bytes(data)


@pytest.mark.soak
@LIBRARIES
def test_the_guests_own_pointer_is_drawn(tmp_path, boot, library):
    """Without a tablet the guest has the pointer: the picture shows it where the guest put it."""
    loads = " load=pointer:{}:{}".format(*PLACE)
    with Screen() as screen, machine(tmp_path / "a", boot, library, loads=loads) as vm:
        has_driver(vm)
        wait_until(lambda: b"pointer ready" in vm.ticks.text(), 60, vm.ticks.text)
        with WindowViewer(screen, tmp_path / "view", vm.uri, "--title", "the guest"):
            wait_channels(vm)
            window = screen.window("the guest")
            screen.run("xdotool", "windowmove", window, "0", "0")
            assert comes_to_show(
                vm, lambda: key_of(screen.picture(window, tmp_path / "window.ppm")), with_pointer)
