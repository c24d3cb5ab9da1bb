#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a failover costs, and what a standby keeps in memory until then. Prints Markdown tables for
docs/results/.

  failover.py [--rounds N] [--memory MB] [--part standby|hosts] [--case NAME]

`standby`: segue-standby alone, beside a bare QEMU. From the decision to the first frame that
outside hears of the promoted guest: the decision is the moment at which it is told to promote; the
primary was killed before, and no frame was on its way. PSS is of segue-standby and its prestarted
QEMU together, after 20 checkpoints.

`hosts`: two segued, a guest with a disk, a card and a screen, and a viewer. From the kill until the
guest goes on (it writes to its serial line every 10 ms) and until the viewer has a picture of it.
  qemu    QEMU alone dies; its host says so
  host    everything of the host dies at once; its connections end (--on-loss promote)
  silent  everything of the host stands still, and nothing ends: only silence tells
"""
import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("guest", "scenario", "interop")]
import guest  # noqa: E402  pylint: disable=wrong-import-position
import standby as sb  # noqa: E402  pylint: disable=wrong-import-position
from hosts import Hosts  # noqa: E402
from protected import ProtectedMachine  # noqa: E402
from test_standby_output import GUEST, OUTSIDE, Outside, nic  # noqa: E402
from viewer import Viewer  # noqa: E402

QXL = ["-spice", "unix=on,addr={spice},disable-ticketing=on", "-vga", "qxl"]
STANDBY_CASES = {"prestarted": (True, []), "prestarted, qxl": (True, QXL), "cold": (False, []),
                 "cold, qxl": (False, QXL)}
HOST_CASES = {"qemu": ("hold", signal.SIGKILL), "host": ("promote", signal.SIGKILL),
              "silent": ("promote", signal.SIGSTOP)}


def proportional_kib(process):
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def spread(numbers):
    return f"{statistics.median(numbers):.0f} [{min(numbers):.0f}-{max(numbers):.0f}]"


def load():
    return f"{os.getloadavg()[0]:.1f}"


# -- segue-standby alone

class Clock(Outside):
    """Notes when the first frame came after it was armed."""

    armed, heard = None, None

    def frame(self, frame):
        if self.armed is not None and self.heard is None:
            self.heard = time.monotonic()
        super().frame(frame)


def standby_round(directory, prestart, video, memory):
    net, out = directory / "net", directory / "out"
    linux = guest.linux("no_timer_check", f"load=udp:{OUTSIDE}:9000:200", f"net={GUEST}/24")
    video = [word.replace("{spice}", str(directory / "p.spice")) for word in video]
    primary = sb.Primary(directory / "p", *linux, *video, *nic(net), memory=memory)
    command = [word.replace("p.spice", "s.spice")
               for word in map(str, primary.command_line(directory / "serial"))]
    flags = ["--prestart"] if prestart else []
    with sb.Standby(directory / "s", *flags, net=f"unix:{net}", net_out=f"unix:{out}",
                    vm=command) as standby:
        outside = Clock(out)
        with primary:
            outside.wait(20)
            primary.protect(standby.listen, 200)
            standby.wait("protected")
            standby.wait_epoch(21)
            kept = proportional_kib(standby.process.pid)
            if standby.vm_process():
                kept += proportional_kib(standby.vm_process())
            primary.kill()
            standby.wait("lost")
        time.sleep(0.3)
        outside.armed = time.monotonic()
        said = standby.control(cmd="promote", force=True)
        assert "error" not in said, said
        end = time.monotonic() + sb.PATIENCE
        while outside.heard is None:
            assert time.monotonic() < end
            time.sleep(0.0005)
        return (outside.heard - outside.armed) * 1e3, said["took_us"] / 1e3, kept / 1024


def measure_standby(options):
    print("| Standby | Rounds | Decided to first frame (ms) | to running (ms) | PSS (MiB) | Load |")
    print("|---|---|---|---|---|---|")
    for name, (prestart, video) in STANDBY_CASES.items():
        if options.case not in (None, name):
            continue
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                rounds.append(standby_round(Path(scratch), prestart, video, options.memory))
        frames, runs, kept = zip(*rounds)
        print(f"| {name} | {len(rounds)} | {spread(frames)} | {spread(runs)} | {spread(kept)} | "
              f"{load()} |", flush=True)


# -- two hosts and a viewer

def wait_for(condition):
    """The time at which the condition was found true, in milliseconds."""
    end = time.monotonic() + sb.PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
    return time.monotonic() * 1e3


def host_round(directory, bias, how, whole):
    with Hosts(2) as (one, two), \
            ProtectedMachine(directory, screen=True, words=["tick=10"]) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with Viewer(directory / "v", one.virsh("domdisplay", machine.name).strip()) as viewer:
            viewer.wait("frame", timeout=sb.PATIENCE)
            machine.protect(one, two, "--on-loss", bias)
            viewer.wait("standby", timeout=sb.PATIENCE)
            machine.wait_epochs(one, 10)
            victims = [machine.qemu(one)]
            if whole:
                victims = [pid for pid, _ in one.qemus()] + [one.process.pid]
            pictures = len(viewer.named("frame"))
            began = time.monotonic() * 1e3
            for pid in victims:
                os.kill(pid, how)
            written = machine.serial.stat().st_size
            runs = wait_for(lambda: machine.serial.stat().st_size > written)

            def shown():
                connected = viewer.named("connected")
                frames = viewer.named("frame")[pictures:]
                if len(connected) < 2:
                    return None
                at = connected[1]["t_us"] / 1e3
                later = [frame["t_us"] / 1e3 for frame in frames]
                # The picture comes with the session, or right behind it.
                lost = viewer.named("disconnected")[0]["t_us"] / 1e3
                return next((time for time in later if time >= lost), None) and (at, later, lost)
            wait_for(shown)
            at, later, lost = shown()
            picture = next(time for time in later if time >= lost)
            assert at > began
            return runs - began, picture - began


def measure_hosts(options):
    print("| What dies | Rounds | Until the guest runs (ms) | until the viewer's picture (ms) "
          "| Load |")
    print("|---|---|---|---|---|")
    for name, (bias, how) in HOST_CASES.items():
        if options.case not in (None, name):
            continue
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                rounds.append(host_round(Path(scratch), bias, how, name != "qemu"))
        runs, pictures = zip(*rounds)
        print(f"| {name} | {len(rounds)} | {spread(runs)} | {spread(pictures)} | {load()} |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--part", choices=["standby", "hosts"], default=None)
    parser.add_argument("--case", choices=[*STANDBY_CASES, *HOST_CASES], default=None)
    options = parser.parse_args()
    if options.part != "hosts" and options.case not in HOST_CASES:
        measure_standby(options)
    if options.part != "standby" and options.case not in STANDBY_CASES:
        measure_hosts(options)


if __name__ == "__main__":
    main()
