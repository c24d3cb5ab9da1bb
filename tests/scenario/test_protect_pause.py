# SPDX-License-Identifier: LGPL-2.1-or-later
"""A protected guest that its user pauses: it stands still in a state that its standby has, and the
protection goes on."""
import os
import signal

import pytest
import standby as sb
from agent import control
from hosts import Hosts, wait_until
from protected import ProtectedMachine
from test_protect_states import reason_of, stands_still

PAUSED = "paused (user)"


def begin(machine, one, two, *words):
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two, *words)
    machine.wait_epochs(one, 3)


def pause(machine, host):
    host.virsh("suspend", machine.name)
    assert reason_of(host, machine) == PAUSED
    stands_still(machine)


@pytest.mark.full
@pytest.mark.parametrize("bias", ["hold", pytest.param("promote", marks=pytest.mark.soak)])
def test_a_pause_ends_no_protection(tmp_path, bias):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "--on-loss", bias)
        agent = machine.helper(one, "segue-agent")
        pause(machine, one)
        said = machine.status(one)
        assert said["state"] == "protected" and said["detail"] == "paused"
        one.virsh("suspend", machine.name)
        refused = one.segue("failover", machine.name, "--planned", code=None)
        assert "resume it first" in refused
        # A daemon that was not there when it was paused.
        one.kill()
        one.start()
        machine.wait(one, lambda now: now["detail"] == "paused")
        assert reason_of(one, machine) == PAUSED
        assert machine.status(one)["epoch"] == said["epoch"]
        assert machine.status(two)["state"] == "protected" and "took over" not in two.log()
        one.virsh("resume", machine.name)
        assert one.state_of(machine.name) == "running"
        machine.wait_epochs(one, 3)
        # To resume what runs is nothing; QEMU's own command in a checkpoint would spoil it.
        one.virsh("resume", machine.name)
        assert machine.helper(one, "segue-agent") == agent
        machine.went_on()
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
def test_a_paused_guest_is_taken_over_as_it_was_left(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        pause(machine, one)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "paused", sb.PATIENCE, "it is there")
        stands_still(machine)
        assert reason_of(two, machine) == PAUSED
        seen = machine.outside.last()
        two.virsh("resume", machine.name)
        # Nothing was lost, and nothing repeated.
        machine.outside.wait(seen + 1)
        machine.went_on()


@pytest.mark.full
def test_a_paused_guest_that_loses_its_standby_stays_paused(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        pause(machine, one)
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.wait(one, lambda now: now["state"] == "unprotected" and now["reason"])
        wait_until(lambda: "stands still unprotected" in one.log(), 60, "it says so")
        stands_still(machine)
        assert reason_of(one, machine) == PAUSED
        one.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 20)
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []


@pytest.mark.full
def test_a_paused_guest_is_given_up_and_stays_paused(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "--on-loss", "promote")
        pause(machine, one)
        one.segue("unprotect", machine.name, timeout=sb.PATIENCE)
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "nobody stands by")
        stands_still(machine)
        assert reason_of(one, machine) == PAUSED
        one.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 20)
        assert machine.outside.backward() == []


@pytest.mark.full
def test_a_pause_whose_daemon_ended_meanwhile_is_no_trap(tmp_path):
    """Its answer never came: whoever was started since finds it at the agent."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        agent, = (one.state / "protection").glob("*/control.sock")
        control(agent, cmd="pause")
        machine.wait(one, lambda now: now["detail"] == "paused")
        assert reason_of(one, machine) == PAUSED
        stands_still(machine)
        one.virsh("resume", machine.name)
        assert one.state_of(machine.name) == "running"
        machine.wait_epochs(one, 3)
        # The other way round.
        pause(machine, one)
        control(agent, cmd="thaw")
        machine.wait(one, lambda now: now["detail"] == "protected")
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it is known to run")
        machine.wait_epochs(one, 3)
        assert "paused" not in machine.status(one)["detail"]
        machine.went_on()


@pytest.mark.full
def test_a_daemon_that_comes_in_a_checkpoint_sees_a_guest_that_runs(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        agent, = (one.state / "protection").glob("*/control.sock")
        one.kill()
        control(agent, cmd="freeze")
        one.start()
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it is known to run")
        control(agent, cmd="thaw")
        machine.wait_epochs(one, 3)
        assert one.state_of(machine.name) == "running"


@pytest.mark.full
def test_a_stop_at_the_monitor_is_a_pause(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, interval=2000) as machine:
        begin(machine, one, two)
        one.virsh("qemu-monitor-command", machine.name, '{"execute": "stop"}')
        machine.wait(one, lambda now: now["detail"] == "paused")
        stands_still(machine)
        assert reason_of(one, machine) == PAUSED
        one.virsh("qemu-monitor-command", machine.name, '{"execute": "cont"}')
        machine.wait(one, lambda now: now["detail"] == "protected")
        machine.wait_epochs(one, 2)
        machine.went_on()


@pytest.mark.full
def test_a_pause_outlives_a_daemon_whose_guest_is_isolated(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "--on-loss", "promote")
        pause(machine, one)
        two.kill()
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.wait(one, lambda now: now["detail"] == "isolated")
        one.kill()
        one.start()
        machine.wait(one, lambda now: now["detail"] == "isolated")
        # The standby does not run it, says its operator; nobody has resumed it.
        one.segue("unprotect", machine.name, timeout=sb.PATIENCE)
        stands_still(machine)
        assert one.state_of(machine.name) == "paused"
        one.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 20)
        assert machine.outside.backward() == []


@pytest.mark.full
@pytest.mark.parametrize("round_number", range(3))
def test_a_failover_right_behind_a_resume_leaves_it_running(tmp_path, round_number):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "--on-loss", "promote")
        pause(machine, one)
        agent = machine.helper(one, "segue-agent")
        one.virsh("resume", machine.name)
        # With all that could still tell its standby.
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        assert reason_of(two, machine) == "running (migrated)", round_number
        machine.went_on()
