# SPDX-License-Identifier: LGPL-2.1-or-later
"""One guest is taken over again and again, to and fro between two hosts: `kill -9` of its QEMU at a
random time, SEGUE_PROTECT_ROUNDS times (200). In each round the standby's memory equals the
primary's page for page, outside sees each datagram once and in order, and the disk has each record
up to its last one."""
import os
import random
import signal
import time
from contextlib import contextmanager

import guest
import pytest
import standby as sb
from agent import control
from hosts import Hosts, wait_until
from protected import ProtectedMachine
from test_protect_states import stands_still

ROUNDS = int(os.environ.get("SEGUE_PROTECT_ROUNDS", "200"))
MEMORY = 96 << 20
PAGE = 4096


def newest(host, pattern):
    return max((host.state / "protection").glob(pattern), key=lambda path: path.stat().st_mtime_ns)


@contextmanager
def frozen(host):
    agent = newest(host, "*/control.sock")
    said = control(agent, cmd="freeze")
    assert said.get("state") == "still", said
    try:
        yield
    finally:
        control(agent, cmd="thaw")


def differing_pages(machine, primary, standby, folder):
    """Of an epoch in which the guest stands still."""
    ours, theirs = folder / "memory", folder / "image"
    with frozen(primary):
        primary.virsh("qemu-monitor-command", machine.name, "--hmp",
                      f'pmemsave 0 {MEMORY} "{ours}"')
        said = control(newest(standby, "*/standby/control.sock"), cmd="dump", block="pc.ram",
                       path=str(theirs))
        assert "error" not in said, said
    left, right = ours.read_bytes(), theirs.read_bytes()
    assert len(left) == len(right) == MEMORY
    return [at for at in range(0, MEMORY, PAGE) if left[at:at + PAGE] != right[at:at + PAGE]]


def qemu_of(machine, host):
    """Also of a guest that was promoted, whose memory is a segue-standby's."""
    pid, = [pid for pid, line in host.qemus() if f"guest={machine.name}" in line
            and not line.split()[0].endswith("segue-standby")]
    return pid


def check_records(machine, host):
    """While nobody writes: no record is missing, and none is from a future that was taken back."""
    image = host.state / "images" / f"{machine.uuid}-vda.raw"
    host.virsh("suspend", machine.name)
    stands_still(machine)
    found, lost = guest.records(image), guest.lost_records(image)
    host.virsh("resume", machine.name)
    assert found and lost == [], lost[-20:]
    newest_record = max(found)
    assert len(found) == min(newest_record, guest.DISK_SLOTS)
    return newest_record


def one_round(machine, primary, standby, folder, luck):
    machine.protect(primary, standby, "--on-loss", luck.choice(["hold", "promote"]))
    machine.wait_epochs(primary, 2)
    assert differing_pages(machine, primary, standby, folder) == []
    time.sleep(luck.uniform(0, 1.5))  # any moment of a checkpoint
    os.kill(qemu_of(machine, primary), signal.SIGKILL)
    wait_until(lambda: standby.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
    machine.went_on(20)
    return check_records(machine, standby)


def rounds(folder, count, seed):
    luck = random.Random(seed)
    with Hosts(2) as hosts, ProtectedMachine(folder) as machine:
        primary, standby = hosts
        primary.virsh("define", machine.path)
        primary.virsh("start", machine.name)
        machine.outside.wait(5)
        last = 0
        for number in range(count):
            reached = one_round(machine, primary, standby, folder, luck)
            assert reached > last, (seed, number)
            last = reached
            primary, standby = standby, primary
            wait_until(lambda host=standby: host.state_of(machine.name) == "shut off", 60,
                       "the old host knows")
        machine.went_on()
        assert guest.DISK_SLOTS * 4096 <= machine.disk.stat().st_size


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_guest_is_taken_over_to_and_fro(tmp_path):
    rounds(tmp_path, 4, random.randrange(1 << 32))


@pytest.mark.soak
@pytest.mark.timeout(max(600, ROUNDS * 120))
def test_two_hundred_rounds(tmp_path):
    rounds(tmp_path, ROUNDS, random.randrange(1 << 32))
