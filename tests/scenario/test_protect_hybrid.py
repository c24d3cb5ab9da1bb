# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue protect --mode hybrid` between two segued: what both guests send leaves at once."""
import hashlib
import json
import os
import signal

import pytest
import standby as sb
from hosts import Failed, Hosts, wait_until
from protected import ProtectedMachine
from tcp_download import Download

LINES = 400000
FILE = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()


def early_frames(said):
    """A daemon that was started again knows no figures before its first look."""
    return said.get("hybrid", {}).get("early_frames", -1)


def compares(machine, standby, count=50):
    """Waits until so many more frames have left that no epoch knows; the standby's word then."""
    early = early_frames(machine.wait(standby, lambda said: early_frames(said) >= 0))
    return machine.wait(standby, lambda said: early_frames(said) >= early + count)


def dies(machine, primary, standby):
    os.kill(machine.qemu(primary), signal.SIGKILL)
    wait_until(lambda: standby.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")


@pytest.mark.full
def test_a_hybrid_protection_loses_nothing_and_says_nothing_twice(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, interval=25) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        with pytest.raises(Failed, match="hybrid mode compares frames at the standby"):
            machine.protect(one, two, "--mode", "hybrid", "--gate", "primary")
        machine.protect(one, two, "--mode", "hybrid")
        compares(machine, two)
        said = machine.wait(two, lambda said: said.get("hybrid", {}).get("comparing"))
        assert said["hybrid"]["now"] == "hybrid"
        machine.wait(one, lambda said: said["mode"] == "hybrid")
        # A shadow that dies is followed by another one.
        try:
            os.kill(said["hybrid"]["shadow_pid"], signal.SIGKILL)
        except ProcessLookupError:
            pass  # its epoch was over
        compares(machine, two)
        # A daemon that is started again finds its half as it was.
        for host in (one, two):
            host.kill()
            host.start()
        compares(machine, two)
        dies(machine, one, two)
        machine.went_on()
        assert machine.status(two)["state"] == "promoted"
        # Both daemons know it as any other domain from here on.
        wait_until(lambda: one.state_of(machine.name) == "shut off", 60, "the old host knows")
        machine.protect(two, one, "--mode", "hybrid")
        compares(machine, one)
        # Frames take another way from the first epoch on: the last ones before it may come later.
        machine.outside.forget()
        dies(machine, two, one)
        machine.went_on()
        # What was its shadow is a guest that outlives its segue-standby.
        qemu = machine.qemu(one)
        os.kill(machine.helper(one, "segue-standby"), signal.SIGKILL)
        machine.outside.wait(machine.outside.last() + 30)
        assert machine.qemu(one) == qemu
        assert machine.outside.backward() == []


@pytest.mark.full
def test_unprotect_ends_the_shadows_too(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, interval=25) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        for _ in range(2):
            machine.protect(one, two, "--mode", "hybrid")
            compares(machine, two)
            one.segue("unprotect", machine.name)
            wait_until(lambda: two.qemus() == [], 60, "neither standby nor shadow is left")
        machine.outside.wait(machine.outside.last() + 40)
        assert one.state_of(machine.name) == "running"


@pytest.mark.full
def test_a_killed_standby_is_not_let_run_where_more_was_said(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, interval=25) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--mode", "hybrid", "--on-loss", "promote")
        qemu, standby = machine.qemu(one), machine.helper(two, "segue-standby")
        written, = (two.state / "protection").glob("*/standby/state.json")

        def outruns():
            """Frames have left that the epoch does not know, and none is committed meanwhile."""
            compares(machine, two, 5)
            os.kill(qemu, signal.SIGSTOP)
            said = machine.status(two)
            known = json.loads(written.read_text())["beyond_epoch"] == said["epoch"]
            if known and said["hybrid"]["comparing"]:
                return True
            os.kill(qemu, signal.SIGCONT)
            return False
        wait_until(outruns, sb.PATIENCE, "more was said than the epoch knows")
        os.kill(standby, signal.SIGKILL)
        wait_until(lambda: "lets it run" in two.log(), sb.PATIENCE, "it is found stale")
        assert two.state_of(machine.name) != "running"
        two.segue("failover", machine.name, "--force")
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")


# Half a minute, most of it the guest's: a TCP segment leaves as a datagram does.
@pytest.mark.soak
def test_a_download_goes_on_through_a_hybrid_failover(tmp_path):
    with Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path, interval=25, words=[f"web={LINES}"]) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--mode", "hybrid")
        compares(machine, two)
        download = Download(machine.outside, b"GET /numbers HTTP/1.0\r\n\r\n")
        wait_until(lambda: len(download.content) > len(FILE) // 4, sb.PATIENCE, "a quarter")
        assert len(download.content) < len(FILE)
        dies(machine, one, two)
        wait_until(lambda: download.done or download.reset, sb.PATIENCE, "the end", every=0.1)
        assert not download.reset
        head, _, body = bytes(download.content).partition(b"\r\n\r\n")
        assert b"200" in head.splitlines()[0], head
        assert hashlib.sha256(body).hexdigest() == hashlib.sha256(FILE).hexdigest()
        assert machine.outside.backward() == []
