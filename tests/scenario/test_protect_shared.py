# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue protect --shared-storage`: no disk is copied, and a guest that is taken over starts anew
from the disk that both hosts see, when nobody else has it open."""
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine


def record_at(disk, number):
    """What stands where the guest has written this record (tests/guest/loads/disk.c)."""
    with open(disk, "rb") as image:
        image.seek(number % 2000 * 4096)
        return image.read(32).split(b"\n")[0]


def images_of(host):
    folder = host.state / "images"
    return sorted(folder.iterdir()) if folder.exists() else []


def lives_of(counted):
    """What was counted, cut where it began anew."""
    lives = []
    for number in counted.all():
        if number == 1:
            lives.append([])
        lives[-1].append(number)
    return lives


def booted(machine):
    return len(lives_of(machine.ticks))


def silence(host):
    """Every process of the host's stands still; which."""
    silent = [pid for pid, _ in host.qemus()] + [host.process.pid]
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    return silent


@pytest.mark.full
def test_a_guest_starts_anew_from_the_shared_disk(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        said = one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg",
                         "--shared-storage", timeout=sb.PATIENCE)
        assert "protected: a guest that is taken over starts anew" in said, said
        status = machine.status(one)
        assert (status["storage"], status["gate"]) == ("shared", "none")
        assert "its memory is lost" in status["promise"]
        assert machine.status(two)["storage"] == "shared"
        # Nothing is copied, and nothing is held.
        assert images_of(two) == []
        machine.outside.wait(machine.outside.last() + 40)
        machine.records.wait(20, sb.PATIENCE)
        said = one.segue("failover", machine.name, "--planned", code=None)
        assert "would start anew" in said and "segue migrate" in said, said
        # Nobody may start it there while it lives here.
        said = two.segue("failover", machine.name, "--force", code=None)
        assert f"still writes to '{machine.disk}'" in said, said
        assert two.state_of(machine.name) != "running"
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
        synced = lives_of(machine.records)[0][-1]
        assert record_at(machine.disk, synced) == b"REC %d" % synced
        wait_until(lambda: booted(machine) == 2, sb.PATIENCE, "it has booted again")
        machine.outside.wait(5)
        assert b"BAD" not in machine.serial.read_bytes()
        # Back to the old host, in the same way.
        two.segue("protect", machine.name, "--standby", one.uri, "--allow-tcg",
                  "--shared-storage", timeout=sb.PATIENCE)
        os.kill(machine.qemu(two), signal.SIGKILL)
        wait_until(lambda: one.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
        wait_until(lambda: booted(machine) == 3, sb.PATIENCE, "it has booted again")


@pytest.mark.full
def test_a_disk_that_is_still_open_is_waited_for(tmp_path):
    """The primary's host is silent and not dead: what it has open stays its own."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--shared-storage", "--on-loss", "promote")
        qemu = machine.qemu(one)
        silent = silence(one)
        try:
            machine.wait(two, lambda said: said.get("waits_for_disks"))
            assert two.state_of(machine.name) != "running"
            os.kill(qemu, signal.SIGKILL)
            wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
            wait_until(lambda: booted(machine) == 2, sb.PATIENCE, "it has booted again")
        finally:
            for pid in silent:
                if pid != qemu:
                    os.kill(pid, signal.SIGCONT)


@pytest.mark.full
def test_a_primary_gives_its_disks_to_whom_the_witness_lets(tmp_path):
    """Its host stops for longer than its lease, and comes back."""
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--shared-storage", "--witness", three.uri)
        silent = silence(one)
        try:
            machine.wait(two, lambda said: said.get("waits_for_disks"))
            assert two.state_of(machine.name) != "running"
        finally:
            for pid in silent:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
        wait_until(lambda: booted(machine) == 2, sb.PATIENCE, "it has booted again")
        assert one.state_of(machine.name) != "running"


@pytest.mark.full
def test_what_cannot_be_shared_is_refused(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        aside = machine.disk.with_suffix(".aside")
        # QEMU keeps the file that it has open; by its name another is found.
        machine.disk.rename(aside)
        machine.disk.write_bytes(b"")
        said = one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg",
                         "--shared-storage", code=None)
        assert "shows no lock" in said and said.strip().count("\n") == 0, said
        assert machine.status(one)["role"] == "none"
        aside.rename(machine.disk)
        said = one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg",
                         "--shared-storage", "--screen", "held", code=None)
        assert "nothing of it is held" in said, said
        machine.protect(one, two)
        assert machine.status(one)["storage"] == "copied"
        assert len(images_of(two)) == 1
