# SPDX-License-Identifier: LGPL-2.1-or-later
"""The viewer of a protected guest goes to the standby by itself when the primary dies."""
import os
import signal
import sys
from pathlib import Path

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from viewer import Viewer  # noqa: E402


def screen_of(host, machine):
    return host.virsh("domdisplay", machine.name).strip()


@pytest.mark.full
def test_the_viewer_goes_to_the_standby(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with Viewer(tmp_path / "v", screen_of(one, machine)) as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            machine.protect(one, two)
            told = viewer.wait("standby", timeout=sb.PATIENCE)
            assert told["host"].startswith(two.address)
            machine.wait_epochs(one, 3)
            os.kill(machine.qemu(one), signal.SIGKILL)
            wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
            machine.went_on()
            again = viewer.wait("connected", 2, timeout=sb.PATIENCE)
            assert again["host"] == told["host"]
            assert viewer.named("disconnected")[0]["retrying"]
            pictures = len(viewer.named("frame"))
            viewer.wait("frame", pictures or 1, timeout=sb.PATIENCE)
            assert screen_of(two, machine).endswith(told["host"])
            # Protected toward the old host, it is told again, and forgets what is given up.
            machine.protect(two, one)
            back = viewer.wait("standby", 2, timeout=sb.PATIENCE)
            assert back["host"].startswith(one.address)
            two.segue("unprotect", machine.name)
            assert viewer.wait("standby", 3, timeout=sb.PATIENCE)["host"] is None


@pytest.mark.full
def test_a_viewer_that_comes_later_is_told_too(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        with Viewer(tmp_path / "v", screen_of(one, machine)) as viewer:
            told = viewer.wait("standby", timeout=sb.PATIENCE)
            assert told["host"].startswith(two.address)
