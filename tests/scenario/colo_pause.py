#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a checkpoint stops the guest: ours beside QEMU's own secondary and beside the floor (the
same stream read and thrown away), in one run. Prints a Markdown table for docs/results/.

  colo_pause.py [--seconds N] [--delay MS] [--memory MB] [--only idle|20|50]

The pause is STOP to RESUME of the primary, by QEMU's own time stamps; the first two checkpoints of
each run are left out.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "guest"),
                str(Path(__file__).resolve().parent)]
import guest  # noqa: E402  pylint: disable=wrong-import-position
import standby as sb  # noqa: E402  pylint: disable=wrong-import-position

FLOOR = sb.ROOT / "build" / "release" / "bin" / "colo-floor"
LOADS = {"idle": [], "20": ["load=dirty:64:20"], "50": ["load=dirty:128:50"]}


def stamp(event):
    return event["timestamp"]["seconds"] * 1e3 + event["timestamp"]["microseconds"] / 1e3


def pauses(primary, seconds):
    """Milliseconds from STOP to RESUME, in order."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        primary.qmp("query-status")     # collects events
        time.sleep(0.1)
    found, stopped = [], None
    for event in primary.qmp.events:
        if event["event"] == "STOP":
            stopped = stamp(event)
        elif event["event"] == "RESUME" and stopped is not None:
            found.append(stamp(event) - stopped)
            stopped = None
    return found[3:]


class QemuSecondary:
    """QEMU's own COLO secondary."""

    def __init__(self, directory, memory):
        self.path = directory / "colo.sock"
        self.vm = guest.Qemu(directory, "-kernel", guest.kernel(), "-initrd", guest.initramfs(),
                             "-append", "console=ttyS0", "-incoming", f"unix:{self.path}",
                             memory=memory)

    def __enter__(self):
        self.vm.__enter__()
        self.vm.qmp("migrate-set-capabilities",
                    capabilities=[{"capability": "x-colo", "state": True}])
        return self

    def __exit__(self, *_):
        self.vm.stop(9)


class Floor:
    def __init__(self, directory, _memory):
        self.path = directory / "colo.sock"
        directory.mkdir()

    def __enter__(self):
        self.process = subprocess.Popen([str(FLOOR), str(self.path)])
        while not self.path.exists():
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Ours:
    def __init__(self, directory, _memory):
        self.path = directory / "colo.sock"
        self.standby = sb.Standby(directory)

    def __enter__(self):
        self.standby.__enter__()
        return self

    def __exit__(self, *_):
        self.standby.__exit__()


def measure(kind, load, options, scratch):
    directory = Path(tempfile.mkdtemp(dir=scratch))
    with sb.Primary(directory / "p", *guest.linux(*LOADS[load]),
                    memory=options.memory) as primary, \
            kind(directory / "s", options.memory) as secondary:
        primary.ticks.wait(40)
        primary.protect(f"unix:{secondary.path}", options.delay)
        end = time.monotonic() + 30
        while primary.qmp("query-migrate").get("status") != "colo":
            assert time.monotonic() < end, primary.qmp("query-migrate")
            time.sleep(0.05)
        found = sorted(pauses(primary, options.seconds))
        primary.kill()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--delay", type=int, default=500)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--only", choices=list(LOADS), default=None)
    options = parser.parse_args()
    print("| Guest dirties | Secondary | Checkpoints | Pause min | median | p90 | max (ms) "
          "| Load |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for load in [options.only] if options.only else LOADS:
            for name, kind in (("floor", Floor), ("QEMU's own", QemuSecondary),
                               ("segue-standby", Ours)):
                found = measure(kind, load, options, scratch)
                at = [f"{found[min(len(found) - 1, int(len(found) * part))]:.1f}"
                      for part in (0, 0.5, 0.9, 1)]
                print(f"| {load if load == 'idle' else load + ' MB/s'} | {name} | {len(found)} | "
                      f"{' | '.join(at)} | {os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
