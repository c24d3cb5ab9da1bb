# SPDX-License-Identifier: LGPL-2.1-or-later
"""The viewer of a protected guest goes to the standby by itself when the primary dies."""
import os
import signal

import cells
import guest
import pytest
import standby as sb
from agent import control
from hosts import Hosts, wait_until
from protected import AGENT, ProtectedMachine
from test_protect_rounds import newest

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


def shown_by(viewer):
    """The pixels that a viewer with --commands shows."""
    taken = len(viewer.named("screenshot"))
    viewer.tell("screenshot", path=str(viewer.screenshot))
    viewer.wait("screenshot", taken + 1, timeout=sb.PATIENCE)
    return bytes(cells.Picture.read(viewer.screenshot).data)


@pytest.mark.full
def test_a_picture_that_is_held_waits_for_its_checkpoint(tmp_path):
    """No checkpoint begins for a while, and then the host dies: what the guest has painted since is
    lost, and nobody has seen it."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True,
                                                  words=["load=paint:640x480:10"]) as machine:
        one.virsh("create", machine.path)
        painted = guest.Ticks(machine.serial, "frame")
        painted.wait(1, sb.PATIENCE)

        def stands_still():
            before, reports = shown_by(viewer), len(painted.all())
            wait_until(lambda: len(painted.all()) > reports, sb.PATIENCE, "it paints on")
            return shown_by(viewer) == before

        with Viewer(tmp_path / "v", screen_of(one, machine), "--commands") as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            machine.protect(one, two, "--screen", "held")
            assert machine.status(one)["screen"] == "held"
            viewer.wait("standby", timeout=sb.PATIENCE)
            machine.wait_epochs(one)
            wait_until(lambda: not stands_still(), sb.PATIENCE, "what is committed is shown")
            agent = newest(one, "*/control.sock")
            assert "error" not in control(agent, cmd="hold")
            wait_until(stands_still, sb.PATIENCE, "nothing new is shown")
            last = shown_by(viewer)
            os.kill(machine.qemu(one), signal.SIGKILL)
            wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
            viewer.wait("connected", 2, timeout=sb.PATIENCE)
            wait_until(lambda: shown_by(viewer) != last, sb.PATIENCE, "it paints on there")
        machine.went_on()


def copies_of(viewer):
    """The numbers that the guest's agent and port have said to this viewer: two lists."""
    pasted = [int(event["text"].split()[1]) for event in viewer.named("clipboard")]
    lines = "".join(event["text"] for event in viewer.named("port-data")).split("\n")[:-1]
    return pasted, [int(line.split()[1]) for line in lines]


@pytest.mark.full
def test_a_clipboard_waits_for_its_checkpoint_and_the_picture_does_not(tmp_path):
    """No checkpoint begins for a while: the guest is seen to paint on, and what its agent and its
    port say meanwhile is lost with the host, unheard."""
    words = ["load=paint:640x480:10", "load=agent:com.redhat.spice.0:copies:5"]
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, screen=True, words=words,
                                                  devices=AGENT) as machine:
        one.virsh("create", machine.path)
        said = guest.Ticks(machine.serial, "agent")
        said.wait(1, sb.PATIENCE)

        def heard_more(than):
            return all(now[-1:] > before[-1:] for now, before in zip(copies_of(viewer), than))

        def says_unheard():
            before, reports = copies_of(viewer), len(said.all())
            wait_until(lambda: len(said.all()) > reports, sb.PATIENCE, "it counts on")
            return copies_of(viewer) == before

        with Viewer(tmp_path / "v", screen_of(one, machine), "--commands") as viewer:
            wait_until(lambda: heard_more(([], [])), sb.PATIENCE, "it is heard")
            machine.protect(one, two)
            assert machine.status(one)["screen"] == "early"
            viewer.wait("standby", timeout=sb.PATIENCE)
            machine.wait_epochs(one)
            heard = copies_of(viewer)
            wait_until(lambda: heard_more(heard), sb.PATIENCE, "what is committed is heard")
            agent = newest(one, "*/control.sock")
            assert "error" not in control(agent, cmd="hold")
            wait_until(says_unheard, sb.PATIENCE, "nothing new is heard")
            assert control(agent, cmd="status")["held_screen"] > 0
            heard, seen = copies_of(viewer), shown_by(viewer)
            wait_until(lambda: shown_by(viewer) != seen, sb.PATIENCE, "it is seen to paint on")
            assert says_unheard() and copies_of(viewer) == heard
            os.kill(machine.qemu(one), signal.SIGKILL)
            wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
            wait_until(lambda: heard_more(heard), sb.PATIENCE, "it is heard there")
        for numbers in copies_of(viewer):
            assert numbers == sorted(numbers), "heard again: it had not been committed"
        machine.went_on()


@pytest.mark.full
def test_only_our_server_can_hold_what_devices_say(tmp_path):
    with Hosts(2, options=["--spice-lib", "stock"]) as (one, two), \
            ProtectedMachine(tmp_path, screen=True, devices=AGENT) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        said = one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg", code=None)
        assert "runs without a SPICE server of Segue's" in said, said
        assert "take them out" in said and said.strip().count("\n") == 0
        assert machine.status(one)["role"] == "none"


@pytest.mark.full
def test_only_our_server_can_hold_a_picture_back(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        said = one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg", "--screen",
                         "held", code=None)
        assert "without a SPICE server of Segue's" in said, said
        assert "--screen early" in said and said.strip().count("\n") == 0
        assert machine.status(one)["role"] == "none"
        machine.protect(one, two, "--screen", "early")
        assert machine.status(one)["screen"] == "early"
