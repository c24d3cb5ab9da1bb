# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU runs as a user of its own: it reaches what the domain gives it and nothing of the daemon's,
and moves between hosts like any other."""
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from hosts import Hosts, wait_until
from machines import Machine

USER = "nobody"  # every Debian has it


@pytest.fixture(name="folder")
def folder_that_others_may_enter():
    """pytest's own folders are closed to other users."""
    path = Path(tempfile.mkdtemp(prefix="segue-user-"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def process_of(host):
    (pid, _), = host.guests()
    status = dict(line.split(":\t", 1) for line in
                  Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return pid, status


@pytest.mark.quick
def test_qemu_runs_as_its_own_user(folder):
    with Hosts(2, config=f'[security]\nqemu_user = "{USER}"\n') as (one, two):
        machine = Machine(folder, name="u", tick_ms=20, spice=True)
        # A file that only root may write: the daemon opens it.
        machine.serial.write_bytes(b"")
        os.chmod(machine.serial, 0o600)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        user = pwd.getpwnam(USER)
        for host, other in ((one, two), (two, one)):
            pid, status = process_of(host)
            assert status["Uid"].split() == [str(user.pw_uid)] * 4
            assert status["Gid"].split() == [str(user.pw_gid)] * 4
            assert status["Groups"].split() in ([], [str(user.pw_gid)])
            assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
            # Its directory is its own; the daemon's store is not.
            directory = os.readlink(f"/proc/{pid}/cwd")
            assert os.stat(directory).st_uid == user.pw_uid
            assert os.stat(directory).st_mode & 0o777 == 0o700
            store, = host.state.glob("*.db")
            assert os.stat(store).st_mode & 0o077 == 0
            host.virsh("screenshot", "u", folder / "screen")
            host.virsh("migrate", "--live", "--unsafe", "u", other.uri)
            assert other.state_of("u") == "running"
        machine.ticks.wait(machine.ticks.last() + 5)
        assert machine.ticks.gaps() == []
        one.virsh("destroy", "u")
        wait_until(lambda: not one.qemus(), 60, "QEMU is gone")
        wait_until(lambda: not list((one.state / "domains").iterdir()), 60,
                   "its directory is removed")


def identity_of(pid):
    """What a pid file holds: the pid, and when its process started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return f"{pid} {fields[19]}\n"


@pytest.mark.quick
def test_what_qemu_leaves_in_its_directory_misleads_nobody(folder):
    """A QEMU that was taken over puts a foreign pid and a FIFO where the daemon once looked; a
    guest of an earlier release has its pid nowhere else."""
    victim = subprocess.Popen(["sleep", "600"])
    try:
        with Hosts(1, config=f'[security]\nqemu_user = "{USER}"\n') as (host,):
            machine = Machine(folder, name="u", tick_ms=20)
            host.virsh("create", machine.path)
            machine.ticks.wait(3)
            pid, _ = process_of(host)
            directory = Path(os.readlink(f"/proc/{pid}/cwd"))
            beside = directory.with_name(directory.name + ".pid")
            assert beside.read_text() == identity_of(pid) and beside.stat().st_uid == 0
            host.kill()
            (directory / "pid").write_text(identity_of(victim.pid))
            (directory / "stderr.log").unlink()
            os.mkfifo(directory / "stderr.log")
            host.start()
            assert host.state_of("u") == "running"
            host.kill()
            (directory / "pid").write_text(beside.read_text())
            beside.unlink()
            host.start()
            assert host.state_of("u") == "running"
            assert beside.read_text() == identity_of(pid)
            machine.ticks.wait(machine.ticks.last() + 3)
            host.kill()
            (directory / "pid").write_text(identity_of(victim.pid))
            beside.unlink()
            host.start()
            assert host.state_of("u") == "absent", "nobody knows its QEMU any more"
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
