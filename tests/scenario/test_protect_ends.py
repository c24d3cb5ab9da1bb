# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a protection stands on ends by itself: QEMU's own jobs, or QEMU while it is told."""
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import standby as sb
from hosts import BIN, Hosts, wait_until
from protected import ProtectedMachine


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def tell_qemu(host, command):
    """One command for the only QEMU of a host whose daemon is gone."""
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
            return False  # it has not noticed yet that the daemon is gone
    wait_until(told, 60, "QEMU listens")


@pytest.mark.full
@pytest.mark.parametrize("heard", ["event", "question"])
def test_a_mirror_that_ends_is_no_protection(tmp_path, heard):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        # The standby wins where it cannot be heard; this one is no standby any more.
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        cancel = json.dumps({"execute": "block-job-cancel",
                             "arguments": {"device": "segue-mirror0", "force": True}})
        if heard == "event":
            one.virsh("qemu-monitor-command", machine.name, cancel)
        else:
            # A daemon that was not there when it happened.
            one.kill()
            tell_qemu(one, cancel)
            one.start()
        said = machine.wait(one, lambda now: now["state"] == "unprotected")
        assert "copy of disk 'vda'" in said["reason"]
        machine.outside.wait(machine.outside.last() + 20)
        assert one.state_of(machine.name) == "running"
        # Everything is copied again.
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.outside.wait(machine.outside.last() + 20)
        assert b"BAD" not in machine.serial.read_bytes()


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
