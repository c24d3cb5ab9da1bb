# SPDX-License-Identifier: LGPL-2.1-or-later
"""remote-viewer, the viewer that most users have, under Xvfb on our server: what its window shows
is what QEMU's own screendump does."""
import subprocess
import time

import guest
import pytest
from xvfb import Screen

from spice_lab import Machine


def holds(whole, part):
    """Whether the picture lies somewhere in the other one, pixel for pixel."""
    def rows(picture):
        step = picture.width * picture.channels
        rgb = [picture.data[at:at + step] for at in range(0, len(picture.data), step)]
        return rgb if picture.channels == 3 else [
            bytes(value for at, value in enumerate(row) if at % 4 != 3) for row in rgb]
    whole, part = rows(whole), rows(part)
    for top in range(len(whole) - len(part) + 1):
        at = whole[top].find(part[0])
        while at >= 0:
            if at % 3 == 0 and all(whole[top + y][at:at + len(row)] == row
                                   for y, row in enumerate(part)):
                return True
            at = whole[top].find(part[0], at + 1)
    return False


def argument(how, directory, port):
    if how == "uri":
        return f"spice://127.0.0.1:{port}"
    (directory / "guest.vv").write_text(
        f"[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport={port}\ntitle=guest\n")
    return directory / "guest.vv"


@pytest.mark.full
@pytest.mark.parametrize("how, vga", [("uri", "VGA"), ("vv", "qxl-vga")])
def test_remote_viewer_shows_the_guest(tmp_path, how, vga):
    with Screen() as screen, Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), tcp=True,
                                     vga=vga) as vm:
        assert vm.uses_our_library()
        vm.wait_frame(3)
        with open(tmp_path / "log", "wb") as log:
            viewer = subprocess.Popen(
                ["remote-viewer", argument(how, tmp_path, vm.port)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**screen.environment, "HOME": str(tmp_path)})
        try:
            end = time.monotonic() + 60
            while (2, 0) not in vm.channels():  # the display's
                assert viewer.poll() is None and time.monotonic() < end, "it does not connect"
                time.sleep(0.2)
            vm.wait_frame(30)
            vm.qmp("stop")
            machine = vm.picture()
            end = time.monotonic() + 60
            while not holds(screen.picture("root", tmp_path / "screen.ppm"), machine):
                assert time.monotonic() < end, "the window does not show the guest"
                time.sleep(0.5)
        finally:
            viewer.kill()
            viewer.wait(60)
