#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a failover costs: from the decision to the first frame that outside hears of the promoted
guest, and what a standby keeps in memory until then. Prints a Markdown table for docs/results/.

  failover.py [--rounds N] [--memory MB] [--only NAME]

The decision is the moment at which segue-standby is told to promote; the primary was killed before,
and no frame was on its way. PSS is of segue-standby and its prestarted QEMU together, beside the
size of the guest's memory, after 20 checkpoints.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "guest"), str(TESTS / "scenario")]
import guest  # noqa: E402  pylint: disable=wrong-import-position
import standby as sb  # noqa: E402  pylint: disable=wrong-import-position
from test_standby_output import GUEST, OUTSIDE, Outside, nic  # noqa: E402

QXL = ["-spice", "unix=on,addr={spice},disable-ticketing=on", "-vga", "qxl"]
CASES = {"prestarted": (True, []), "prestarted, qxl": (True, QXL), "cold": (False, []),
         "cold, qxl": (False, QXL)}


def proportional_kib(process):
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def words(video, path):
    return [word.replace("{spice}", str(path)) for word in video]


class Clock(Outside):
    """Notes when the first frame came after it was armed."""

    armed, heard = None, None

    def frame(self, frame):
        if self.armed is not None and self.heard is None:
            self.heard = time.monotonic()
        super().frame(frame)


def one_round(directory, prestart, video, memory):
    net, out = directory / "net", directory / "out"
    linux = guest.linux("no_timer_check", f"load=udp:{OUTSIDE}:9000:200", f"net={GUEST}/24")
    primary = sb.Primary(directory / "p", *linux, *words(video, directory / "p.spice"), *nic(net),
                         memory=memory)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--only", choices=list(CASES), default=None)
    options = parser.parse_args()
    print("| Standby | Rounds | Decided to first frame median | max (ms) | to running, median (ms) "
          "| PSS (MiB) | Load |")
    print("|---|---|---|---|---|---|---|")
    for name, (prestart, video) in CASES.items():
        if options.only not in (None, name):
            continue
        frames, runs, kept = [], [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                frame, run, memory = one_round(Path(scratch), prestart, video, options.memory)
            frames.append(frame)
            runs.append(run)
            kept.append(memory)
        print(f"| {name} | {len(frames)} | {statistics.median(frames):.1f} | {max(frames):.1f} | "
              f"{statistics.median(runs):.1f} | {statistics.median(kept):.0f} | "
              f"{os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
