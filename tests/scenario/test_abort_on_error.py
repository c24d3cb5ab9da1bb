# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that fails while its guest is being moved: with --abort-on-error the migration ends and
the guest stays, paused, where it can be mended; without the flag it goes on moving."""
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

import guest
from hosts import Hosts, wait_until
from machines import Machine
from terminal import Terminal, wait_until_registered

pytestmark = pytest.mark.full

# Records of 4 KiB in a file with holes: it needs 8 MiB when the guest has gone round.
DISK_BYTES = guest.DISK_SLOTS * 4096
DISK = """
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>"""


class SmallDisk:
    """A file system that a test fills and empties."""

    def __init__(self):
        self.place = Path(tempfile.mkdtemp(prefix="segue-small-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "segue-test",
                        self.place], check=True)
        self.image = self.place / "vda.raw"
        self.image.write_bytes(b"")
        os.truncate(self.image, DISK_BYTES)
        self.image.chmod(0o666)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.place], check=True)
        self.place.rmdir()

    def fill(self):
        with open(self.place / "ballast", "wb", buffering=0) as ballast:
            with pytest.raises(OSError):
                while True:
                    ballast.write(bytes(4096))

    def empty(self):
        (self.place / "ballast").unlink()


@pytest.fixture(name="small")
def small_disk():
    with SmallDisk() as small:
        yield small


def writing_guest(folder, small):
    machine = Machine(folder, name="w", memory=128, devices=DISK.format(disk=small.image))
    words = "console=ttyS0 quiet no_timer_check tick=100 load=disk:/dev/vda:20"
    machine.path.write_text(machine.xml.replace(
        "<boot dev='hd'/>", f"<kernel>{guest.kernel()}</kernel><initrd>{guest.initramfs()}</initrd>"
                            f"<cmdline>{words}</cmdline>"))
    return machine


def fails_on_the_way(host, other, small, records, *words):
    """A slow migration is under way, and then the guest's disk is full."""
    leaving = host.virsh_process("migrate", "--live", "--unsafe", "--bandwidth", "1", *words, "w",
                                 other.uri)
    wait_until(lambda: "Outgoing migration" in host.virsh("domjobinfo", "w", code=None), 60,
               "the migration is under way")
    wait_until(lambda: host.virsh("domjobinfo", "w", code=None).count("Memory processed"), 60,
               "memory is on its way")
    before = records.last()
    small.fill()
    return leaving, before


@pytest.mark.parametrize("words", [[], ["--p2p"]], ids=["managed", "peer-to-peer"])
def test_a_disk_that_fails_on_the_way_ends_the_migration(tmp_path, small, words):
    machine = writing_guest(tmp_path, small)
    records = guest.Ticks(machine.serial, "disk")
    with Hosts(2) as (one, two):
        one.virsh("create", machine.path)
        records.wait(5, 180)
        leaving, before = fails_on_the_way(one, two, small, records, "--abort-on-error", *words)
        said = leaving.communicate(timeout=120)[0]
        assert leaving.returncode == 1 and "failed due to I/O error: disk 'vda'" in said, said
        assert one.virsh("domstate", "--reason", "w").strip() == "paused (I/O error)"
        wait_until(lambda: two.state_of("w") == "absent" and not two.qemus(), 60, "it is only here")
        assert "cannot migrate domain with I/O error" in one.virsh(
            "migrate", "--live", "--unsafe", "--abort-on-error", "w", two.uri, code=1)
        small.empty()
        one.virsh("resume", "w")
        records.wait(before + 10, 180)
        assert guest.lost_records(small.image, records.last()) == []
        assert b"LOAD FAILED" not in machine.ticks.text()


def test_without_the_flag_the_guest_goes_on_moving(tmp_path, small):
    machine = writing_guest(tmp_path, small)
    records = guest.Ticks(machine.serial, "disk")
    with Hosts(2) as (one, two):
        one.virsh("create", machine.path)
        records.wait(5, 180)
        with Terminal("virsh", "-c", one.local_uri, "event", "--all", "--loop") as watcher:
            wait_until_registered(watcher, one, "w")
            leaving, before = fails_on_the_way(one, two, small, records)
            wait_until(lambda: "paused (I/O error)" in one.virsh("domstate", "--reason", "w"), 60,
                       "the guest has met the full disk")
            for event in (f"event 'io-error' for domain 'w': {small.image} (virtio-disk0) pause",
                          f"event 'io-error-reason' for domain 'w': {small.image} (virtio-disk0) "
                          "pause due to enospc"):
                wait_until(lambda: event in watcher.read(), 60, event)
        one.virsh("migrate-setspeed", "w", "1000")
        said = leaving.communicate(timeout=120)[0]
        assert leaving.returncode == 0, said
        assert two.virsh("domstate", "w").strip() == "paused"
        small.empty()
        two.virsh("resume", "w")
        records.wait(before + 10, 180)
        assert guest.lost_records(small.image, records.last()) == []
