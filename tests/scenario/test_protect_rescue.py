# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-standby dies: right behind its promotion, where the guest that it let go goes on, or before
it, where what it held is not thrown away."""
import json
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, shared_memory, wait_until
from protected import ProtectedMachine


def promoted_unseen(machine, one, two):
    """The guest runs at the standby, whose daemon has not looked since."""
    standby = machine.helper(two, "segue-standby")
    two.process.send_signal(signal.SIGSTOP)
    os.kill(machine.qemu(one), signal.SIGKILL)
    facts, = (two.state / "protection").glob("*/standby/state.json")
    wait_until(lambda: json.loads(facts.read_text())["ran"], sb.PATIENCE, "it was let go")
    machine.outside.wait(machine.outside.last() + 30)
    os.kill(standby, signal.SIGKILL)


def promoted_qemu(host):
    """The process that a segue-standby there has let go."""
    noted, = (host.state / "protection").glob("*/standby/qemu.pid")
    return int(noted.read_text())


@pytest.mark.full
@pytest.mark.parametrize("daemon", ["looks on", "starts again"])
def test_a_promoted_guest_outlives_its_segue_standby(tmp_path, daemon):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        promoted_unseen(machine, one, two)
        qemu = promoted_qemu(two)
        if daemon == "starts again":
            two.kill()
            two.start()
        else:
            two.process.send_signal(signal.SIGCONT)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs on")
        # Its network and its disk are served again.
        machine.outside.wait(machine.outside.last() + 30)
        machine.records.wait(machine.records.last() + 10, sb.PATIENCE)
        os.kill(qemu, 0)
        assert machine.outside.backward() == []
        assert b"BAD" not in machine.serial.read_bytes()
        # And again, now that it is a domain.
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.outside.wait(machine.outside.last() + 30)
        os.kill(qemu, 0)
        assert machine.status(two)["state"] == "promoted"
        machine.protect(two, one)
        machine.wait_epochs(two, 3)


@pytest.mark.full
@pytest.mark.parametrize("daemon", ["looks on", "starts again"])
def test_a_standby_that_was_killed_takes_over_from_what_it_held(tmp_path, daemon):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        if daemon == "starts again":
            two.kill()
        # The primary stands still for its sake: it has the newest that anybody has seen.
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        if daemon == "starts again":
            two.start()
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.outside.wait(machine.outside.last() + 40)
        assert machine.outside.backward() == []
        assert b"BAD" not in machine.serial.read_bytes()
        assert one.state_of(machine.name) == "paused"


@pytest.mark.full
def test_a_promoted_guest_that_ended_unseen_is_this_hosts(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        promoted_unseen(machine, one, two)
        # The host goes down, and comes up again.
        os.kill(promoted_qemu(two), signal.SIGKILL)
        two.kill()
        two.start()
        wait_until(lambda: machine.status(two)["role"] == "none", 60, "it is no standby any more")
        assert two.state_of(machine.name) == "shut off"
        two.virsh("start", machine.name)
        machine.outside.wait(machine.outside.last() + 30)
        # Where its disk is: what was written here is there.
        assert str(two.state) in two.virsh("dumpxml", machine.name)


def memory_of(state):
    inside = state / "memory"
    return inside if inside.exists() else shared_memory(state)


@pytest.mark.full
def test_a_killed_standby_leaves_no_memory(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        state, = (two.state / "protection").glob("*/standby")
        killed = memory_of(state)
        assert any(killed.glob("ram-*"))
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        wait_until(lambda: not killed.exists(), 60, "its memory is given back")
        # That of the next one stays.
        machine.wait(one, lambda said: said["state"] == "protected")
        machine.wait_epochs(one, 3)
        living, = (two.state / "protection").glob("*/standby")
        assert any(memory_of(living).glob("ram-*"))
        assert machine.outside.backward() == []
