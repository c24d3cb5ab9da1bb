# SPDX-License-Identifier: LGPL-2.1-or-later
"""spicy, spice-gtk's own program, under Xvfb on our server: it links its channels, and its window
shows what QEMU's own screendump does."""
import subprocess

import guest
import pytest
from hosts import wait_until
from xvfb import Screen

from spice_lab import CHANNELS, Machine
from test_remote_viewer import holds


@pytest.mark.full
def test_spicy_shows_the_guest(tmp_path):
    settings = tmp_path / "spicy" / "settings"
    settings.parent.mkdir()
    # Pixel for pixel, and the guest is not asked for another size.
    settings.write_text("[general]\nscaling=false\nresize-guest=false\n")
    with Screen() as screen, Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"),
                                     tcp=True) as vm:
        assert vm.uses_our_library()
        vm.wait_frame(3)
        with open(tmp_path / "log", "wb") as log:
            spicy = subprocess.Popen(
                ["spicy", f"--uri={vm.uri}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**screen.environment, "HOME": str(tmp_path),
                     "XDG_CONFIG_HOME": str(tmp_path)})
        try:
            wait_until(lambda: spicy.poll() is not None or vm.channels() == sorted(CHANNELS),
                       what=vm.channels)
            assert spicy.poll() is None
            vm.wait_frame(30)
            vm.qmp("stop")
            machine = vm.picture()
            wait_until(lambda: holds(screen.picture("root", tmp_path / "screen.ppm"), machine),
                       what="the window does not show the guest", every=0.5)
        finally:
            spicy.kill()
            spicy.wait(60)
