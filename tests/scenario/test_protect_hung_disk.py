# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that never answers again: its QEMU can be killed and cannot end, and the standby takes
over all the same."""
from pathlib import Path

import pytest
import standby as sb
from agent import DISK_BYTES
from hosts import Hosts, wait_until
from hung_disk import HungDisk
from protected import ProtectedMachine


def threads(pid):
    """The states of its threads: none when it has ended."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            found.append(task.read_text().rsplit(")", 1)[1].split()[0])
        except OSError:
            continue
    return found


@pytest.mark.full
@pytest.mark.parametrize("bias", ["promote", "hold"])
def test_a_disk_that_hangs_is_taken_over_though_its_qemu_cannot_end(tmp_path, bias):
    with HungDisk(DISK_BYTES) as hung, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path, disk=hung.image) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", bias)
        machine.wait_epochs(one, 3)
        qemu = machine.qemu(one)
        hung.hang()
        wait_until(hung.waiting.is_set, 60, "somebody waits for it")
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        # Killed, and not gone: all that can die of it has.
        wait_until(lambda: set(threads(qemu)) <= {"D", "Z"}, 60, lambda: str(threads(qemu)))
        assert "D" in threads(qemu), threads(qemu)
        machine.went_on()
        machine.records.wait(machine.records.last() + 20, sb.PATIENCE)
        said = machine.wait(one, lambda now: now["state"] == "unprotected")
        assert "cannot end" in said["reason"], said
        refused = one.segue("unprotect", machine.name, code=None)
        assert "runs at its standby" in refused, refused
        # The disk answers, if only with errors: what was left of it goes.
        hung.end()
        wait_until(lambda: not threads(qemu), 60, "QEMU has ended")
        wait_until(lambda: one.state_of(machine.name) == "absent", 60, "the old host knows")
        assert two.state_of(machine.name) == "running"
        machine.went_on()


@pytest.mark.full
def test_a_main_loop_that_hangs_is_noticed_while_its_guest_is_paused(tmp_path):
    with HungDisk(DISK_BYTES) as hung, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path, disk=hung.image) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        one.virsh("suspend", machine.name)
        hung.hang()
        # The guest asks for nothing; whoever reads at the monitor waits with the main loop.
        with one.virsh_process("qemu-monitor-command", "--hmp", machine.name,
                               'qemu-io libvirt-1-format "read 0 512"') as reader:
            wait_until(hung.waiting.is_set, 60, "somebody waits for it")
            wait_until(lambda: two.state_of(machine.name) == "paused", sb.PATIENCE, "it is there")
            hung.end()
            reader.communicate(timeout=sb.PATIENCE)
        assert "main loop stands still" in one.log()
        two.virsh("resume", machine.name)
        machine.went_on()
