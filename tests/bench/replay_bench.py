#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replays of recorded displays on our library beside stock's, in one run: CPU time of the server
less that of reading the recording, and bytes on the wire. Medians; prints a Markdown table.

  replay_bench.py [--runs N] [--seconds N] [--scenes a,b] [--modes a,b] [RECORDING …]

The replay keeps the recording's pace. A RECORDING is one of stock's library (for instance of QEMU
under SPICE_WORKER_RECORD_FILENAME); without any, the scenes of recordings.py are used.
"""
import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "interop"), str(ROOT / "tests" / "guest")]
import recordings  # noqa: E402
from replaying import COMPRESSIONS, Replay, scene  # noqa: E402


def measure(library, files, mode, runs, directory):
    """Medians of (CPU microseconds without reading, bytes), and the last picture."""
    cpu, read, picture = [], [], None
    for _ in range(runs):
        result = Replay(library, *files, compression=COMPRESSIONS[mode]).run(directory)
        cpu.append(result["cpu_us"])
        read.append(result["bytes"])
        picture = result["picture"].data
    return statistics.median(cpu), statistics.median(read), picture


def reading(library, files, runs):
    return statistics.median(Replay(library, *files, null=1).reading() for _ in range(runs))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--scenes", default="console,desktop,mixed,paint,video")
    options.add_argument("--modes", default=",".join(COMPRESSIONS))
    options.add_argument("recordings", nargs="*")
    chosen = options.parse_args()
    print("| Scene | Mode | CPU ours / stock ms | CPU | Bytes ours / stock kB | Bytes | Same |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        files = {Path(path).stem: (path, recordings.times(path, Path(directory) / "given.times"))
                 for path in chosen.recordings}
        for name in [] if files else chosen.scenes.split(","):
            files[name] = scene(name, directory, chosen.seconds)
        for name, pair in files.items():
            null = {library: reading(library, pair, chosen.runs) for library in ("segue", "stock")}
            for mode in chosen.modes.split(","):
                ours = measure("segue", pair, mode, chosen.runs, directory)
                theirs = measure("stock", pair, mode, chosen.runs, directory)
                cpu = [max(1, ours[0] - null["segue"]), max(1, theirs[0] - null["stock"])]
                print(f"| {name} | {mode} | {cpu[0] / 1000:.0f} / {cpu[1] / 1000:.0f} "
                      f"| {cpu[0] / cpu[1]:.2f}x | {ours[1] / 1000:.0f} / {theirs[1] / 1000:.0f} "
                      f"| {ours[1] / theirs[1]:.2f}x | {'yes' if ours[2] == theirs[2] else 'NO'} |",
                      flush=True)


if __name__ == "__main__":
    main()
