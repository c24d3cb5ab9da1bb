# SPDX-License-Identifier: LGPL-2.1-or-later
"""A protected guest that is migrated while it runs: its protection ends, and begins again where the
guest is then, without a word from its user."""
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, end_process, wait_until
from protected import ProtectedMachine
from test_protect_pause import begin, pause
from test_protect_states import stands_still

WAYS = {
    "virsh": lambda host, *words: host.virsh("migrate", "--live", "--unsafe", *words,
                                             timeout=sb.PATIENCE),
    "p2p": lambda host, *words: host.virsh("migrate", "--live", "--unsafe", "--p2p", *words,
                                           timeout=sb.PATIENCE),
    "segue": lambda host, *words: host.segue("migrate", "--live", "--unsafe", *words,
                                             timeout=sb.PATIENCE),
}


def is_protected_again(machine, host):
    said = machine.wait(host, lambda now: now["state"] == "protected")
    machine.outside.numbers.clear()
    machine.outside.wait(1)
    machine.wait_epochs(host, 3)
    return said


def move(machine, way, one, two, *words):
    try:
        return WAYS[way](one, *words, machine.name, two.uri)
    finally:
        assert machine.outside.backward() == []


def busy_machine(folder):
    """It writes more than a move at 1 MiB/s can carry: that one ends only when it is told to."""
    return ProtectedMachine(folder, words=["load=dirty:24:8"])


@pytest.mark.full
@pytest.mark.parametrize("way", [*WAYS])
def test_a_protected_guest_is_protected_where_it_comes(tmp_path, way):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, three, "--on-loss", "promote")
        move(machine, way, one, two)
        assert one.state_of(machine.name) == "absent"
        assert two.state_of(machine.name) == "running"
        said = is_protected_again(machine, two)
        assert said["role"] == "primary" and said["standby"] == three.uri
        assert said["interval_ms"] == machine.interval and said["on_loss"] == "promote"
        assert machine.status(three)["role"] == "standby"
        os.kill(machine.qemu(two), signal.SIGKILL)
        wait_until(lambda: three.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
@pytest.mark.parametrize("way", [*WAYS])
def test_the_host_of_the_standby_is_no_destination(tmp_path, way):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        agent = machine.helper(one, "segue-agent")
        with pytest.raises(AssertionError, match="segue failover --planned g"):
            move(machine, way, one, two)
        assert one.state_of(machine.name) == "running"
        assert machine.status(one)["state"] == "protected"
        assert machine.helper(one, "segue-agent") == agent
        machine.went_on()


@pytest.mark.full
def test_the_host_of_the_witness_is_no_destination(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "--witness", three.uri)
        with pytest.raises(AssertionError, match="has its witness at that host"):
            move(machine, "p2p", one, three)
        assert machine.status(one)["state"] == "protected"
        machine.went_on()


@pytest.mark.full
def test_a_guest_whose_disks_its_standby_serves_does_not_move(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        for way in WAYS:
            with pytest.raises(AssertionError, match="disks that segue-standby serves"):
                move(machine, way, two, three)
        assert two.state_of(machine.name) == "running"
        assert three.state_of(machine.name) == "absent" and not three.guests()
        # The way that the refusal names.
        machine.protect(two, three)
        two.segue("failover", machine.name, "--planned", timeout=sb.PATIENCE)
        wait_until(lambda: three.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
def test_a_move_that_is_cancelled_leaves_it_protected(tmp_path):
    with Hosts(3) as (one, two, three), busy_machine(tmp_path) as machine:
        begin(machine, one, three)
        one.virsh("migrate-setspeed", machine.name, "1")
        with one.virsh_process("migrate", "--live", "--unsafe", machine.name, two.uri) as moving:
            wait_until(lambda: "phase perform" in one.log(), 60, "it moves")
            machine.wait(one, lambda now: now["state"] == "unprotected")
            wait_until(lambda: "Data remaining" in one.virsh("domjobinfo", machine.name), 60,
                       "QEMU sends")
            one.virsh("domjobabort", machine.name)
            assert moving.wait(60) != 0
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it runs here")
        is_protected_again(machine, one)
        assert machine.outside.backward() == []
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: three.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
def test_a_move_whose_destination_dies_leaves_it_protected(tmp_path):
    with Hosts(3) as (one, two, three), busy_machine(tmp_path) as machine:
        begin(machine, one, three)
        one.virsh("migrate-setspeed", machine.name, "1")
        with one.virsh_process("migrate", "--live", "--unsafe", "--p2p", machine.name,
                               two.uri) as moving:
            wait_until(lambda: "Data remaining" in one.virsh("domjobinfo", machine.name), 60,
                       "QEMU sends")
            two.kill()
            for pid, _ in two.qemus():
                end_process(pid)
            assert moving.wait(sb.PATIENCE) != 0
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it goes on")
        is_protected_again(machine, one)
        machine.went_on()


@pytest.mark.full
def test_a_daemon_that_dies_in_a_move_forgets_no_protection(tmp_path):
    with Hosts(3) as (one, two, three), busy_machine(tmp_path) as machine:
        begin(machine, one, three)
        one.virsh("migrate-setspeed", machine.name, "1")
        with one.virsh_process("migrate", "--live", "--unsafe", "--p2p", machine.name,
                               two.uri) as moving:
            wait_until(lambda: "Data remaining" in one.virsh("domjobinfo", machine.name), 60,
                       "QEMU sends")
            one.kill()
            moving.wait(60)
        one.start()
        wait_until(lambda: one.state_of(machine.name) == "running", sb.PATIENCE, "it goes on")
        is_protected_again(machine, one)
        machine.went_on()


@pytest.mark.full
def test_a_paused_guest_comes_paused_and_is_protected_when_it_runs(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, three)
        pause(machine, one)
        move(machine, "p2p", one, two)
        stands_still(machine)
        assert two.state_of(machine.name) == "paused"
        machine.wait(two, lambda now: now["role"] == "primary" and now["state"] == "unprotected")
        two.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 10)
        is_protected_again(machine, two)
        machine.went_on()


def come_and_started_again(machine, one, two):
    """Of other domains: what lies beside its protection."""
    move(machine, "p2p", one, two)
    machine.wait(two, lambda now: now["role"] == "primary" and now["state"] == "unprotected")
    two.kill()
    two.start()
    neighbour = two.state / "protection" / "neighbour"
    neighbour.mkdir(parents=True, exist_ok=True)
    return neighbour


@pytest.mark.full
def test_a_destination_that_is_started_again_owes_a_protection(tmp_path):
    """The guest has come, and its standby's host has not answered yet."""
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, three)
        three.kill()
        neighbour = come_and_started_again(machine, one, two)
        three.start()
        is_protected_again(machine, two)
        assert neighbour.is_dir()
        machine.went_on()


@pytest.mark.full
def test_a_protection_that_has_come_and_not_begun_is_given_up(tmp_path):
    """It has no folder that could be removed."""
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, three)
        pause(machine, one)
        neighbour = come_and_started_again(machine, one, two)
        two.segue("unprotect", machine.name, timeout=sb.PATIENCE)
        assert neighbour.is_dir()
        assert two.state_of(machine.name) == "paused"
        two.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 20)
