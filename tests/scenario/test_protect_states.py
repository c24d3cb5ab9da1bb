# SPDX-License-Identifier: LGPL-2.1-or-later
"""A protected guest that QEMU stops by itself, or that begins again: each of QEMU's run states has
its row in protect/run_state_table.h."""
import json
import os
import signal
import socket
import subprocess

import pytest
import standby as sb
from agent import control
from hosts import BIN, Hosts, wait_until
from protected import ProtectedMachine
from test_abort_on_error import SmallDisk
from test_protect_ends import tell_qemu

PASSTHROUGH = "[security]\nallow_passthrough = true\n"
# Ports of the ISA bus, and what is written there.
PANICKED = "o /b 0x505 1"
# (QEMU ends in a checkpoint that it had begun in that very moment: so they are rare here.)
# An IB700 counts down to nothing at once.
WATCHDOG_BITES = "o /b 0x443 0xf"


def port(host, machine, words):
    host.virsh("qemu-monitor-command", "--hmp", machine.name, words)


def reason_of(host, machine):
    return host.virsh("domstate", "--reason", machine.name).strip()


def stands_still(machine):
    """Nothing of the guest is seen outside any more."""
    def is_silent():
        before = machine.outside.last()
        try:
            machine.outside.wait(before + 1, 2)
        except AssertionError:
            return True
        return False
    wait_until(is_silent, 60, "the guest is silent")


def begins_anew_and_is_protected(machine, one, two):
    qemu = machine.qemu(one)
    machine.outside.numbers.clear()
    one.virsh("reset", machine.name)
    one.virsh("resume", machine.name)
    machine.wait(one, lambda now: now["state"] == "protected")
    machine.outside.wait(20)
    machine.wait_epochs(one, 3)
    assert machine.qemu(one) == qemu
    # While it booted its own queue behind an ARP request that was held may have been full.
    machine.outside.numbers.clear()
    machine.outside.wait(1)
    os.kill(qemu, signal.SIGKILL)
    wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
    machine.went_on()


def is_left_as_it_is(machine, one, two, event, state):
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two)
    machine.wait_epochs(one, 3)
    qemu = machine.qemu(one)
    port(one, machine, event)
    said = machine.wait(one, lambda now: now["state"] == "unprotected" and now.get("reason"))
    wait_until(lambda: two.state_of(machine.name) == "absent", 60, "nobody stands by")
    stands_still(machine)
    assert reason_of(one, machine) == f"paused ({state})" and machine.qemu(one) == qemu
    assert "took over" not in two.log()
    return said["reason"]


@pytest.mark.full
def test_a_guest_that_panics_is_left_as_it_is(tmp_path):
    with Hosts(2, config=PASSTHROUGH) as (one, two), \
            ProtectedMachine(tmp_path, interval=2000, options=["-device", "pvpanic"]) as machine:
        said = is_left_as_it_is(machine, one, two, PANICKED, "crashed")
        assert said == "the guest has panicked"
        begins_anew_and_is_protected(machine, one, two)


@pytest.mark.full
def test_a_guest_that_its_watchdog_stops_is_left_as_it_is(tmp_path):
    with Hosts(2, config=PASSTHROUGH) as (one, two), \
            ProtectedMachine(tmp_path, interval=2000, options=[
                "-device", "ib700", "-action", "watchdog=pause"]) as machine:
        said = is_left_as_it_is(machine, one, two, WATCHDOG_BITES, "watchdog")
        assert said == "the guest was stopped by its watchdog"
        begins_anew_and_is_protected(machine, one, two)


@pytest.mark.full
def test_a_panic_that_nobody_heard_is_found(tmp_path):
    """A daemon that was not there when it happened, and a QEMU that no checkpoint has met since."""
    with Hosts(2, config=PASSTHROUGH) as (one, two), \
            ProtectedMachine(tmp_path, interval=20000,
                             options=["-device", "pvpanic"]) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        qemu = machine.qemu(one)
        pause_unheard(one)
        machine.wait(one, lambda now: now["state"] == "unprotected" and
                     now.get("reason") == "the guest has panicked")
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "nobody stands by")
        assert reason_of(one, machine) == "paused (crashed)" and machine.qemu(one) == qemu


def pause_unheard(host):
    host.kill()
    tell_qemu(host, '{"execute": "human-monitor-command", "arguments": '
                    f'{{"command-line": "{PANICKED}"}}}}')
    host.start()


def begins_anew_protected(machine, one, two, agent):
    """It counts from the beginning again, under the same agent, and is taken over like that."""
    wait_until(machine.outside.backward, sb.PATIENCE, "it begins again")
    machine.outside.numbers.clear()
    machine.outside.wait(10)
    machine.wait_epochs(one, 3)
    assert machine.helper(one, "segue-agent") == agent
    assert machine.status(one)["state"] == "protected"
    assert one.state_of(machine.name) == "running"
    os.kill(machine.qemu(one), signal.SIGKILL)
    wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
    machine.went_on()


@pytest.mark.full
def test_a_guest_that_is_reset_stays_protected(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(40)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        agent = machine.helper(one, "segue-agent")
        one.virsh("reset", machine.name)
        begins_anew_protected(machine, one, two, agent)


@pytest.mark.full
def test_a_reset_in_a_checkpoint_ends_no_protection(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(40)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        helper = machine.helper(one, "segue-agent")
        # One that takes long.
        agent, = (one.state / "protection").glob("*/control.sock")
        control(agent, cmd="freeze")
        one.virsh("reset", machine.name)
        shown = one.virsh("qemu-monitor-command", machine.name, '{"execute": "query-status"}')
        assert '"prelaunch"' in shown, shown
        for _ in range(20):  # many looks long
            assert machine.status(one)["state"] == "protected"
        control(agent, cmd="thaw")
        begins_anew_protected(machine, one, two, helper)


@pytest.mark.full
def test_a_disk_that_fails_while_it_is_protected_stops_only_that(tmp_path):
    with Hosts(2) as (one, two), SmallDisk() as small, \
            ProtectedMachine(tmp_path, disk=small.image) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        qemu = machine.qemu(one)
        # Set up it cannot be before the disk is full.
        os.kill(qemu, signal.SIGSTOP)
        with subprocess.Popen([str(BIN / "segue"), "-c", one.local_uri, "protect", machine.name,
                               "--standby", two.uri, "--allow-tcg"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as protect:
            wait_until(lambda: machine.status(one)["state"] == "syncing", 60, "it is set up")
            small.fill()
            os.kill(qemu, signal.SIGCONT)
            said, _ = protect.communicate(timeout=sb.PATIENCE)
        assert protect.returncode != 0, said
        assert "I/O error of disk 'vda'" in said and "while its protection was set up" in said
        assert reason_of(one, machine) == "paused (I/O error)" and machine.qemu(one) == qemu
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "nobody stands by")
        small.empty()
        one.virsh("resume", machine.name)
        machine.outside.wait(machine.outside.last() + 20)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []


class OwnMonitor:
    """A second monitor of a QEMU, which nobody else listens at."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(sb.PATIENCE)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile()
        self.tell("qmp_capabilities", until="return")

    def tell(self, command, until):
        self.socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        while True:
            said = json.loads(self.lines.readline())
            assert "error" not in said, said
            if until in said or said.get("event") == until:
                return


@pytest.mark.full
def test_a_stop_and_a_reset_at_the_monitor_end_no_qemu(tmp_path):
    """Both between two looks, and a checkpoint behind them before the next few."""
    path = tmp_path / "own.sock"
    with Hosts(2, config=PASSTHROUGH) as (one, two), \
            ProtectedMachine(tmp_path, interval=4000,
                             options=["-qmp", f"unix:{path},server=on,wait=off"]) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        # Before the standby's QEMU takes the name.
        monitor = OwnMonitor(path)
        machine.protect(one, two)
        qemu = machine.qemu(one)
        agent, = (one.state / "protection").glob("*/control.sock")
        reached = control(agent, cmd="status")["local_epoch"]
        wait_until(lambda: control(agent, cmd="status")["local_epoch"] > reached, 60,
                   "a checkpoint", every=0.002)
        one.process.send_signal(signal.SIGSTOP)
        monitor.tell("stop", until="return")
        monitor.tell("system_reset", until="RESET")
        one.process.send_signal(signal.SIGCONT)
        said = machine.wait(one, lambda now: now["state"] == "unprotected")
        assert said["reason"] == "the guest was reset while it stood still"
        assert machine.qemu(one) == qemu and "took over" not in two.log()
        begins_anew_and_is_protected(machine, one, two)


def goes_to_sleep(machine, one, two):
    """In the moment of a checkpoint, which lets it run: nobody wakes it before."""
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two)
    machine.wait_epochs(one, 3)
    one.process.send_signal(signal.SIGSTOP)
    stands_still(machine)
    # Some checkpoints more.
    agent, = (one.state / "protection").glob("*/control.sock")
    reached = control(agent, cmd="status")["local_epoch"]
    wait_until(lambda: control(agent, cmd="status")["local_epoch"] > reached + 2, 60, "epochs")


@pytest.mark.full
@pytest.mark.parametrize("daemon", ["hears it late", "is started again"])
def test_a_guest_that_goes_to_sleep_in_a_checkpoint_is_woken(tmp_path, daemon):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, words=["nap=30"]) as machine:
        goes_to_sleep(machine, one, two)
        if daemon == "is started again":
            one.kill()
            one.start()
        else:
            one.process.send_signal(signal.SIGCONT)
        machine.outside.wait(machine.outside.last() + 20)
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it is known to be awake")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []


@pytest.mark.full
def test_a_guest_that_is_taken_over_half_asleep_is_woken(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, words=["nap=30"]) as machine:
        goes_to_sleep(machine, one, two)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.outside.wait(machine.outside.last() + 20)
        one.process.send_signal(signal.SIGCONT)
        assert machine.outside.backward() == []
