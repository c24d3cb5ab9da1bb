# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a protection stands on ends by itself: QEMU's own jobs, or QEMU while it is told."""
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import standby as sb
from hosts import BIN, Hosts, wait_until
from protected import ProtectedMachine
from test_abort_on_error import SmallDisk

# What the C library ends a process with.
BROKEN_HEAP = re.compile(r"(alloc|free|chunk|consolidate|tcache)\w*\(\)|corrupted|corruption|"
                         r"Segmentation fault")


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def tell_qemu(host, command, pid=None):
    """One command for the only QEMU of a host whose daemon is gone; its process, if it may end."""
    path, = (host.state / "domains").glob("*/monitor.sock")

    def told():
        try:
            with socket.socket(socket.AF_UNIX) as monitor:
                monitor.settimeout(60)
                monitor.connect(str(path))
                lines = monitor.makefile()
                for line in ('{"execute": "qmp_capabilities"}', command):
                    monitor.sendall(line.encode() + b"\n")
                    while "return" not in (said := json.loads(lines.readline())):
                        assert "error" not in said, said
            return True
        except ConnectionError:
            assert pid is None or not has_ended(pid), "QEMU has ended"
            return False  # it has not noticed yet that the daemon is gone
    wait_until(told, 60, "QEMU listens")


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def end_mirror(machine, one, heard):
    """Somebody cancels it by force; what its host says then."""
    cancel = json.dumps({"execute": "block-job-cancel",
                         "arguments": {"device": "segue-mirror0", "force": True}})
    if heard == "event":
        one.virsh("qemu-monitor-command", machine.name, cancel)
    else:
        # A daemon that was not there when it happened.
        qemu = machine.qemu(one)
        one.kill()
        tell_qemu(one, cancel, qemu)
        one.start()
    return machine.wait(one, lambda now: now["state"] == "unprotected")


def mirror_ends(folder, heard):
    """False: QEMU 7.2 has broken its heap on the way, which is no fault of ours: it does so where a
    mirror is cancelled under a write of the guest's, so that those are rare here."""
    with Hosts(2) as (one, two), ProtectedMachine(folder, load="load=disk:/dev/vda:1") as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        # The standby wins where it cannot be heard; this one is no standby any more.
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        qemu = machine.qemu(one)
        log, = (one.state / "domains").glob("*/stderr.log")
        with open(log, encoding="utf-8", errors="replace") as errors:
            try:
                said = end_mirror(machine, one, heard)
            except AssertionError:
                words = errors.read()
                if has_ended(qemu) and BROKEN_HEAP.search(words):
                    return False
                print(f"QEMU has ended: {has_ended(qemu)}; it said: {words}")
                raise
        assert "copy of disk" in said["reason"]
        machine.outside.wait(machine.outside.last() + 20)
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it runs alone")
        # Everything is copied again.
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.outside.wait(machine.outside.last() + 20)
        assert b"BAD" not in machine.serial.read_bytes()
    return True


@pytest.mark.full
@pytest.mark.parametrize("heard", ["event", "question"])
def test_a_mirror_that_ends_is_no_protection(tmp_path, heard):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if mirror_ends(folder, heard):
            return
    pytest.fail("QEMU has broken its heap each time")


def break_leg(host, machine):
    """The connection to the agent breaks inside QEMU, under a guest that writes."""
    leg = {"instances": [{"type": "block-node", "node-name": "segue-disk0"}]}
    host.virsh("qemu-monitor-command", machine.name,
               json.dumps({"execute": "yank", "arguments": leg}))


def breaks_and_is_protected_again(host, machine):
    qemu = machine.qemu(host)
    break_leg(host, machine)
    said = machine.wait(host, lambda now: now["state"] == "unprotected" and now["reason"])
    assert "disk" in said["reason"], said
    machine.outside.wait(machine.outside.last() + 20)
    machine.wait(host, lambda now: now["state"] == "protected")
    machine.wait_epochs(host, 3)
    # A mirror that ends by itself under a guest that writes corrupts QEMU's heap.
    assert machine.qemu(host) == qemu


@pytest.mark.full
@pytest.mark.parametrize("bias", ["hold", "promote"])
def test_a_leg_that_breaks_is_no_protection_and_harms_no_guest(tmp_path, bias):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, load="load=disk:/dev/vda:200") as \
            machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", bias)
        machine.wait_epochs(one, 3)
        breaks_and_is_protected_again(one, machine)
        assert two.state_of(machine.name) == "shut off" and "took over" not in two.log()
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.outside.wait(machine.outside.last() + 20)
        assert machine.outside.backward() == []
        assert b"BAD" not in machine.serial.read_bytes()


@pytest.mark.soak
def test_twenty_legs_break_and_the_guest_lives(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, load="load=disk:/dev/vda:200") as \
            machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 2)
        for _ in range(20):
            breaks_and_is_protected_again(one, machine)
        assert machine.outside.backward() == []


@pytest.mark.full
def test_a_disk_that_fails_is_taken_over_by_one_that_works(tmp_path):
    with Hosts(2) as (one, two), SmallDisk() as small, \
            ProtectedMachine(tmp_path, disk=small.image) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        # The guest's next new record finds no room, and QEMU stops it.
        small.fill()
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        machine.records.wait(machine.records.last() + 20, sb.PATIENCE)
        assert "I/O error of disk 'vda'" in one.log()


@pytest.mark.full
def test_unprotect_ends_what_is_only_being_set_up(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        qemu = machine.qemu(one)
        # Set up it cannot be while QEMU answers nothing.
        os.kill(qemu, signal.SIGSTOP)
        words = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                 "stderr": subprocess.STDOUT, "text": True}
        segue = [str(BIN / "segue"), "-c", one.local_uri]
        with subprocess.Popen([*segue, "protect", machine.name, "--standby", two.uri,
                               "--allow-tcg"], **words) as protect:
            wait_until(lambda: machine.status(one)["state"] == "syncing", 60, "it is set up")
            with subprocess.Popen([*segue, "unprotect", machine.name], **words) as unprotect:
                # Heard, and nobody says "ask again".
                with pytest.raises(subprocess.TimeoutExpired):
                    unprotect.wait(1)
                os.kill(qemu, signal.SIGCONT)
                said, _ = unprotect.communicate(timeout=sb.PATIENCE)
                assert unprotect.returncode == 0, said
            said, _ = protect.communicate(timeout=sb.PATIENCE)
            assert protect.returncode != 0 and "given up while it was set up" in said, said
        assert machine.status(one)["state"] == "none"
        machine.outside.wait(machine.outside.last() + 20)
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "the standby is gone")
        machine.protect(one, two)
        machine.wait_epochs(one, 3)


@pytest.mark.full
def test_an_agent_that_hangs_while_it_is_set_up_holds_no_guest(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with subprocess.Popen([str(BIN / "segue"), "-c", one.local_uri, "protect", machine.name,
                               "--standby", two.uri, "--allow-tcg"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as protect:
            wait_until(lambda: any(line.split()[0].endswith("segue-agent")
                                   for _, line in one.qemus()), 60, "the agent runs")
            os.kill(machine.helper(one, "segue-agent"), signal.SIGSTOP)
            said, _ = protect.communicate(timeout=sb.PATIENCE)
        # Had it been protected already, it is protected again by itself.
        if protect.returncode != 0:
            assert "segue-agent" in said, said
            assert machine.status(one)["state"] == "none"
            machine.protect(one, two)
        machine.outside.wait(machine.outside.last() + 20)
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert one.state_of(machine.name) == "running"


@pytest.mark.full
def test_unprotect_answers_when_qemu_dies_meanwhile(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.kill()
        one.start({"SEGUE_FAULT": "primary.unplug.before"})
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        with subprocess.Popen([str(BIN / "segue"), "-c", one.local_uri, "unprotect",
                               machine.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as asked:
            wait_until(lambda: is_stopped(one.process.pid), sb.PATIENCE, "the agent has ended")
            # Whatever QEMU is asked from here on it takes along.
            os.kill(machine.qemu(one), signal.SIGKILL)
            one.process.send_signal(signal.SIGCONT)
            said, _ = asked.communicate(timeout=sb.PATIENCE)
            assert asked.returncode != 0
        assert "ended while its protection was given up" in said, said
        wait_until(lambda: one.state_of(machine.name) == "absent", 60, "it is gone")
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "the standby is gone")


@pytest.mark.soak
def test_twenty_protections_end_and_the_guest_lives(tmp_path):
    """QEMU 7.2 corrupts its heap where a mirror is cancelled under a guest that writes, and dies of
    it some commands later."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, load="load=disk:/dev/vda:200") as \
            machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        qemu = machine.qemu(one)
        for _ in range(20):
            machine.protect(one, two)
            machine.wait_epochs(one, 2)
            one.segue("unprotect", machine.name, timeout=sb.PATIENCE)
            assert machine.qemu(one) == qemu
            machine.outside.wait(machine.outside.last() + 5)
        assert machine.outside.backward() == []
