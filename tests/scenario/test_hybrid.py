# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hybrid mode of segue-standby: the secondary runs too, and what both guests say leaves at once."""
import json
import os
import signal

import guest
import pytest
import standby as sb
from test_standby import wait_until
from test_standby_output import GUEST, OUTSIDE, Outside, disk, nic

UDP = f"load=udp:{OUTSIDE}:9000:50"


class Hybrid:
    """A primary with its hybrid standby, and the outside."""

    def __init__(self, tmp_path, *words, kind="stream", devices=(), differences=1000, **named):
        self.net, self.out, self.serial = tmp_path / "net", tmp_path / "out", tmp_path / "serial"
        self.primary = sb.Primary(tmp_path / "p",
                                  *guest.linux("no_timer_check", f"net={GUEST}/24", *words),
                                  *nic(self.net, kind), *devices, memory=96)
        listener = f"unix:{self.net}" if kind == "stream" else f"dgram:{self.net}"
        self.standby = sb.Standby(tmp_path / "s", mode="hybrid", on_loss="promote",
                                  differences=differences,
                                  net=listener, net_out=f"unix:{self.out}",
                                  vm=self.primary.command_line(self.serial), **named)
        self.outside = None

    def __enter__(self):
        self.standby.__enter__()
        self.outside = Outside(self.out)
        self.primary.__enter__()
        return self

    def __exit__(self, *error):
        self.primary.__exit__(*error)
        self.standby.__exit__(*error)

    def protect(self):
        self.outside.wait(5)
        self.primary.protect(self.standby.listen, 100)
        self.standby.wait("protected")

    def status(self):
        return self.standby.control(cmd="status")

    def hybrid(self):
        return self.status()["hybrid"]

    def compares(self, count=20):
        """Waits until so many more frames have left that no epoch knows; the figures then."""
        early = self.hybrid()["early_frames"]
        wait_until(lambda: self.hybrid()["early_frames"] >= early + count, sb.PATIENCE)
        return self.hybrid()

    def dies(self):
        """The primary; the shadow goes on where it stands. What standby says of it."""
        self.primary.kill()
        promoted = self.standby.wait("promoted")
        self.outside.wait(self.outside.numbers[-1] + 50)
        assert self.outside.irregular() == []
        return promoted

    def strike_shadow(self, how):
        """One that runs; the process."""
        struck = []

        def strike():
            said = self.hybrid()
            try:
                if said["comparing"] and said["shadow_pid"] > 0:
                    os.kill(said["shadow_pid"], how)
                    struck.append(said["shadow_pid"])
            except ProcessLookupError:
                pass  # its epoch is over
            return struck
        wait_until(strike, sb.PATIENCE)
        return struck[0]

    def outrun(self):
        """Frames have left that the epoch does not know. The primary stands still behind them, so
        that none is committed meanwhile."""
        def outruns():
            self.compares(5)
            self.primary.process.send_signal(signal.SIGSTOP)
            facts = json.loads((self.standby.state / "state.json").read_text())
            if facts["beyond_epoch"] == self.status()["epoch"] and self.hybrid()["comparing"]:
                return True
            self.primary.process.send_signal(signal.SIGCONT)
            return False
        wait_until(outruns, sb.PATIENCE)

    def freeze_shadow(self):
        return self.strike_shadow(signal.SIGSTOP)

    def kill_shadow(self):
        return self.strike_shadow(signal.SIGKILL)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["stream", pytest.param("dgram", marks=pytest.mark.soak)])
def test_equal_frames_leave_between_two_checkpoints_and_the_shadow_knows_them(tmp_path, kind):
    with Hybrid(tmp_path, UDP, kind=kind) as machine:
        machine.protect()

        # In one epoch, of which nothing was committed behind its beginning.
        def an_epoch_of_many():
            before = machine.status()
            machine.compares()
            return machine.status()["epoch"] == before["epoch"]
        wait_until(an_epoch_of_many, sb.PATIENCE)
        promoted = machine.dies()
        said = machine.status()
        assert said["state"] == "promoted" and said["vm_pid"] > 0
        # Whoever runs it now finds its monitor where it always is.
        assert guest.Qmp(promoted["qmp"])("query-status")["status"] == "running"


@pytest.mark.full
def test_a_difference_asks_for_a_checkpoint_and_a_new_shadow_begins(tmp_path):
    with Hybrid(tmp_path, UDP) as machine:
        standby = machine.standby
        machine.protect()
        machine.compares()
        shadow = machine.freeze_shadow()
        epoch = standby.wait("difference")["epoch"]
        standby.wait_epoch(epoch + 1)
        wait_until(lambda: machine.hybrid()["comparing"], sb.PATIENCE)
        machine.compares()
        assert machine.hybrid()["shadow_pid"] != shadow
        machine.dies()


@pytest.mark.full
def test_too_many_differences_lead_to_periodic_mode_and_a_calm_time_back(tmp_path):
    with Hybrid(tmp_path, UDP, differences=0) as machine:
        outside, standby = machine.outside, machine.standby
        machine.protect()
        machine.freeze_shadow()
        assert "differences" in standby.wait("mode", mode="periodic")["reason"]
        # Protection goes on meanwhile, at the pace of QEMU's own timer, without a shadow.
        wait_until(lambda: machine.hybrid()["now"] == "periodic" and machine.hybrid()["fell_back"]
                   and not machine.hybrid()["comparing"], sb.PATIENCE)
        standby.wait_epoch(machine.status()["epoch"] + 5)
        standby.wait("mode", mode="hybrid")
        machine.compares(5)
        assert outside.irregular() == []


@pytest.mark.full
def test_a_shadow_that_dies_costs_a_checkpoint_and_no_frame(tmp_path):
    with Hybrid(tmp_path, UDP) as machine:
        standby = machine.standby
        machine.protect()
        machine.compares()
        machine.kill_shadow()
        while "lost" not in standby.wait("difference")["reason"]:
            pass
        machine.compares()
        machine.dies()


@pytest.mark.full
def test_what_the_shadow_has_written_is_the_disk_of_the_guest(tmp_path):
    image, nbd = tmp_path / "image", tmp_path / "nbd"
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    with Hybrid(tmp_path, UDP, "load=disk:/dev/vda:50", devices=disk(nbd),
                disk=f"unix:{nbd}={image}") as machine:
        machine.protect()
        wait_until(lambda: len(guest.records(image)) > 30, sb.PATIENCE)
        machine.compares(50)
        machine.dies()
        again = guest.Ticks(machine.serial, "disk")
        known = again.wait(max(guest.records(image)) + 20, sb.PATIENCE)
        assert b"BAD" not in again.text()
        assert guest.lost_records(image, known) == []


@pytest.mark.full
def test_a_standby_that_was_killed_does_not_promote_an_epoch_that_was_outrun(tmp_path):
    with Hybrid(tmp_path, UDP) as machine:
        standby = machine.standby
        machine.protect()
        machine.outrun()
        shadow = machine.hybrid()["shadow_pid"]
        standby.kill()
        machine.primary.kill()
        standby.start()
        wait_until(lambda: not os.path.exists(f"/proc/{shadow}/exe"), sb.PATIENCE)
        assert "does not know" in standby.control(cmd="promote")["error"]
        assert standby.control(cmd="promote", force=True)["epoch"] > 0


@pytest.mark.full
def test_an_epoch_that_was_outrun_is_not_promoted_when_its_shadow_is_gone(tmp_path):
    with Hybrid(tmp_path, UDP) as machine:
        standby = machine.standby
        machine.protect()
        machine.outrun()
        os.kill(machine.hybrid()["shadow_pid"], signal.SIGKILL)
        wait_until(lambda: not machine.hybrid()["comparing"], sb.PATIENCE)
        machine.primary.kill()
        while "does not know" not in standby.wait("error")["message"]:
            pass
        assert machine.status()["state"] == "lost"
        assert "does not know" in standby.control(cmd="promote")["error"]
        assert standby.control(cmd="promote", force=True)["epoch"] > 0


@pytest.mark.full
def test_a_next_shadow_that_hangs_is_another_one(tmp_path):
    with Hybrid(tmp_path, UDP) as machine:
        machine.protect()
        machine.compares()

        def hangs():
            """The one that is ready, beside the one that runs."""
            known = machine.hybrid()["shadow_pid"]
            seats = [machine.standby.state / seat / "qemu.pid" for seat in ("s0", "s1")]
            pids = {int(path.read_text() or 0) for path in seats if path.exists()} - {0, known}
            if known <= 0 or len(pids) != 1:
                return None
            try:
                os.kill(next(iter(pids)), signal.SIGSTOP)
            except ProcessLookupError:
                return None
            if machine.hybrid()["shadow_pid"] == known:
                return pids.pop()
            os.kill(next(iter(pids)), signal.SIGCONT)
            return None
        hung = None
        while hung is None:
            hung = hangs()
        machine.kill_shadow()
        wait_until(lambda: not os.path.exists(f"/proc/{hung}/exe"), sb.PATIENCE)
        machine.compares()
        assert machine.outside.irregular() == []
