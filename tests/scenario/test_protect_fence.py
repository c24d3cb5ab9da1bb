# SPDX-License-Identifier: LGPL-2.1-or-later
"""One copy runs, whoever is started again in between: each fence outlives what it was built for."""
import os
import signal
import subprocess

import pytest
import standby as sb
from hosts import BIN, Failed, Hosts, end_process, remove_shared_memory, wait_until
from protected import ProtectedMachine


def stays_shut_off(host, machine):
    assert host.state_of(machine.name) == "shut off"
    with pytest.raises(Failed, match="taken over"):
        host.virsh("start", machine.name)


@pytest.mark.full
def test_a_former_primary_that_was_a_standby_is_still_one(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        one.virsh("autostart", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        wait_until(lambda: one.state_of(machine.name) == "shut off", 60, "the old host knows")

        # The old host is its standby, and is given up as one.
        machine.protect(two, one)
        machine.wait_epochs(two, 3)
        two.segue("unprotect", machine.name)
        wait_until(lambda: machine.status(one)["role"] == "none", 60, "no standby any more")
        stays_shut_off(one, machine)
        # It is one again, and boots.
        machine.protect(two, one)
        machine.wait_epochs(two, 3)
        one.kill()
        os.kill(machine.helper(one, "segue-standby"), signal.SIGKILL)
        machine.wait(two, lambda said: said["state"] == "unprotected" and said["reason"])
        two.virsh("destroy", machine.name, code=None)
        (one.state / "autostarted-boot").write_text("another boot\n")
        # What its standby held is gone with the memory.
        for folder in (one.state / "protection").glob("*/standby"):
            remove_shared_memory(folder)
        one.start()
        wait_until(lambda: machine.status(one)["role"] == "none", 60, "no standby any more")
        stays_shut_off(one, machine)
        assert "may start" in one.segue("unprotect", machine.name)
        one.virsh("start", machine.name)


@pytest.mark.full
def test_a_daemon_that_dies_in_a_planned_failover_lets_one_copy_run(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        # Whoever is asked to let it run there does not answer.
        two.process.send_signal(signal.SIGSTOP)
        with subprocess.Popen([str(BIN / "segue"), "-c", one.local_uri, "failover", machine.name,
                               "--planned"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as moving:
            machine.wait(one, lambda said: said["detail"] == "moving")
            one.kill()
            assert moving.wait(60) != 0
        two.process.send_signal(signal.SIGCONT)
        one.start()
        # Nobody knows yet where it runs: not here.
        machine.wait(one, lambda said: said["detail"] == "isolated")
        wait_until(lambda: one.state_of(machine.name) == "paused", 60, "it stands still")
        two.segue("failover", machine.name, "--force", timeout=sb.PATIENCE)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        wait_until(lambda: one.state_of(machine.name) == "shut off", 60, "the old host knows")
        stays_shut_off(one, machine)


@pytest.mark.full
def test_an_isolated_guest_that_is_destroyed_does_not_start_again(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        # The standby's host is lost: it may have taken over.
        two.kill()
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.wait(one, lambda said: said["detail"] == "isolated")
        one.virsh("destroy", machine.name)
        stays_shut_off(one, machine)
        one.kill()
        one.start()
        stays_shut_off(one, machine)


@pytest.mark.full
def test_a_guest_that_was_alone_when_its_host_died_starts_again(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        two.kill()
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.wait(one, lambda said: said["state"] == "unprotected" and said["reason"])
        # Recorded with the end of the attempt that is under way.
        wait_until(lambda: machine.status(one)["detail"] != "syncing", 60, "it stands alone")
        one.kill()
        for pid, _ in one.qemus():
            end_process(pid)
        one.start()
        one.virsh("start", machine.name)
        assert one.state_of(machine.name) == "running"


@pytest.mark.full
def test_a_standby_that_is_given_up_at_its_host_stops_no_guest(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        assert "given up" in two.segue("unprotect", machine.name)
        machine.wait(one, lambda said: "given up" in said.get("reason", ""))
        machine.outside.wait(machine.outside.last() + 30)
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it runs alone")
        # It is asked for again, like one that was lost.
        machine.wait(one, lambda said: said["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []
        assert "stands still" not in one.log() and "took over" not in two.log()


# QEMU's word that the copy of the disk has ended may be heard before the agent's own end.
@pytest.mark.full
@pytest.mark.parametrize("round_number", range(3))
def test_an_agent_that_is_killed_under_a_guest_that_writes_leaves_one_copy(tmp_path, round_number):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        # The daemon finds both ends when it looks again.
        agent = machine.helper(one, "segue-agent")
        os.kill(one.process.pid, signal.SIGSTOP)
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        os.kill(one.process.pid, signal.SIGCONT)
        machine.wait(one, lambda now: now["detail"] == "isolated")
        assert one.state_of(machine.name) == "paused", round_number
        machine.went_on()
        assert one.state_of(machine.name) == "paused", round_number
