# SPDX-License-Identifier: LGPL-2.1-or-later
"""A party of a protection that hangs, under both biases: whoever must go on does, and says so."""
import os
import signal
import time

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine


def begin(machine, one, two, bias):
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two, "--on-loss", bias)
    machine.wait_epochs(one, 3)


def goes_on_alone_and_is_protected_again(machine, one):
    machine.wait(one, lambda said: said["state"] == "unprotected" and said["reason"])
    machine.outside.wait(machine.outside.last() + 30)
    said = machine.wait(one, lambda said: said["state"] == "protected")
    assert said["alone_after_us"] > 0
    machine.wait_epochs(one, 3)
    assert machine.outside.backward() == []
    assert one.state_of(machine.name) == "running"


@pytest.mark.full
@pytest.mark.parametrize("bias", ["hold", pytest.param("promote", marks=pytest.mark.soak)])
def test_a_qemu_that_hangs_is_ended_and_taken_over(tmp_path, bias):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, bias)
        os.kill(machine.qemu(one), signal.SIGSTOP)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        wait_until(lambda: one.state_of(machine.name) == "absent", 60, "the old host knows")


@pytest.mark.full
def test_an_agent_that_hangs_holds_no_guest(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "hold")
        os.kill(machine.helper(one, "segue-agent"), signal.SIGSTOP)
        goes_on_alone_and_is_protected_again(machine, one)


@pytest.mark.soak
def test_an_agent_that_hangs_where_the_standby_wins(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "promote")
        os.kill(machine.helper(one, "segue-agent"), signal.SIGSTOP)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.wait(one, lambda said: said["state"] == "unprotected")
        wait_until(lambda: one.state_of(machine.name) == "paused", 60, "it stands still")
        machine.went_on()


@pytest.mark.full
def test_a_standby_that_hangs_holds_no_guest(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "hold")
        os.kill(machine.helper(two, "segue-standby"), signal.SIGSTOP)
        goes_on_alone_and_is_protected_again(machine, one)


@pytest.mark.soak
def test_a_standby_that_hung_and_wins_takes_over(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "promote")
        hung = machine.helper(two, "segue-standby")
        os.kill(hung, signal.SIGSTOP)
        machine.wait(one, lambda said: said["state"] == "unprotected")
        wait_until(lambda: one.state_of(machine.name) == "paused", 60, "it stands still")
        os.kill(hung, signal.SIGCONT)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


def stands_still(ticks):
    """Whoever asks QEMU would wait for its disk."""
    def is_still():
        before = ticks.last()
        time.sleep(0.5)
        return ticks.last() == before
    wait_until(is_still, 60, "the guest stands still")


# How long a daemon bears a standby that hangs is another matter: a slow host may come to that.
@pytest.mark.soak
def test_a_standby_without_a_turn_costs_its_guest_no_frame(tmp_path):
    """QEMU drops the frame that waits for room in the gate's queue when its guest is paused."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, "promote")
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        gate = machine.helper(two, "segue-standby")
        reached = machine.ticks.last()
        os.kill(gate, signal.SIGSTOP)
        try:
            wait_until(lambda: machine.ticks.last() >= reached + 5, 60, "it says more")
            pause = two.virsh_process("suspend", machine.name)
            stands_still(machine.ticks)
        finally:
            os.kill(gate, signal.SIGCONT)
        assert pause.wait(60) == 0
        two.virsh("resume", machine.name)
        machine.went_on()
