# SPDX-License-Identifier: LGPL-2.1-or-later
"""The viewer of a protected guest goes to the standby by itself when the primary dies."""
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine

from spice_lab import Client
from viewer import Viewer


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


def everything_of(host):
    return [pid for pid, _ in host.qemus()] + [host.process.pid]


@pytest.mark.full
def test_the_viewer_leaves_a_host_that_is_silent(tmp_path):
    """No connection ends: its host hangs, or a cable is out."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with Viewer(tmp_path / "v", screen_of(one, machine)) as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            machine.protect(one, two, "--on-loss", "promote")
            told = viewer.wait("standby", timeout=sb.PATIENCE)
            for pid in everything_of(one):
                os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
            assert viewer.wait("connected", 2, timeout=sb.PATIENCE)["host"] == told["host"]
            machine.outside.wait(machine.outside.last() + 40)


@pytest.mark.full
def test_the_viewer_stays_while_the_standby_has_not_taken_over(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with Viewer(tmp_path / "v", screen_of(one, machine)) as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            machine.protect(one, two)
            viewer.wait("standby", timeout=sb.PATIENCE)
            # Stopped for as long as the viewer needs to ask the standby, which lets it wait.
            qemu = machine.qemu(one)
            os.kill(qemu, signal.SIGSTOP)
            try:
                wait_until(lambda: "asks the standby" in viewer.log(), sb.PATIENCE, "it asks")
            finally:
                os.kill(qemu, signal.SIGCONT)
            machine.wait_epochs(one, 5)
            machine.went_on()
            assert [event["event"] for event in viewer.events
                    if event["event"] in ("connected", "disconnected")] == ["connected"]


@pytest.mark.full
def test_a_planned_failover_takes_every_viewer_along(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        with Client(screen_of(one, machine)) as client:
            client.wait("primary", timeout=sb.PATIENCE)
            one.segue("failover", machine.name, "--planned", timeout=sb.PATIENCE)
            client.wait("migration", state="switching", timeout=sb.PATIENCE)
            client.wait("primary", timeout=sb.PATIENCE)
        machine.protect(two, one)
        machine.wait_epochs(two, 3)
        with Viewer(tmp_path / "v", screen_of(two, machine)) as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            two.segue("failover", machine.name, "--planned", timeout=sb.PATIENCE)
            done = viewer.wait("migrate-done", timeout=sb.PATIENCE)
            assert done["host"].startswith(one.address)
            assert not viewer.named("disconnected")
        machine.went_on()
