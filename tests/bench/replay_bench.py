#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replays of recorded displays on our library beside stock's, in one run, by turns: CPU time of
the thread that draws, encodes and sends; that of the whole process less what reading the recording
costs (the same, but noisy); and bytes on the wire. Medians; prints a Markdown table.

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
sys.path[:0] = [str(ROOT / "tests" / room) for room in ("interop", "scenario", "guest")]
import recordings  # noqa: E402
from replaying import COMPRESSIONS, Replay, scene  # noqa: E402


LIBRARIES = ("segue", "stock")


class Row:
    """Of one scene and mode: medians of runs that took turns, ours before stock's."""

    def __init__(self, files, mode, runs, directory):
        got = {library: [] for library in LIBRARIES}
        for _ in range(runs):
            for library in LIBRARIES:
                got[library].append(
                    Replay(library, *files, compression=COMPRESSIONS[mode]).run(directory))
        self.median = {library: {what: statistics.median(run[what] for run in got[library])
                                 for what in ("cpu_us", "worker_us", "bytes")}
                       for library in LIBRARIES}
        ours, theirs = (got[library][-1]["picture"] for library in LIBRARIES)
        self.is_same = ours.data == theirs.data

    def compared(self, what, without=None):
        """Ours / stock's in thousands, and the ratio."""
        ours, theirs = (max(1, self.median[library][what] - (without or {}).get(library, 0))
                        for library in LIBRARIES)
        return f"{ours / 1000:.0f} / {theirs / 1000:.0f} | {ours / theirs:.2f}x"


def reading(files, runs):
    """CPU microseconds of reading the recording."""
    return {library: statistics.median(Replay(library, *files, null=1).reading()
                                       for _ in range(runs)) for library in LIBRARIES}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--scenes", default="console,desktop,mixed,paint,video")
    options.add_argument("--modes", default=",".join(COMPRESSIONS))
    options.add_argument("recordings", nargs="*")
    chosen = options.parse_args()
    print("| Scene | Mode | Worker ours / stock ms | Worker | Process | | Bytes ours / stock kB "
          "| Bytes | Same |\n|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        files = {Path(path).stem: (path, recordings.times(path, Path(directory) / "given.times"))
                 for path in chosen.recordings}
        for name in [] if files else chosen.scenes.split(","):
            files[name] = scene(name, directory, chosen.seconds)
        for name, pair in files.items():
            null = reading(pair, chosen.runs)
            for mode in chosen.modes.split(","):
                row = Row(pair, mode, chosen.runs, directory)
                print(f"| {name} | {mode} | {row.compared('worker_us')} "
                      f"| {row.compared('cpu_us', null)} | {row.compared('bytes')} "
                      f"| {'yes' if row.is_same else 'NO'} |", flush=True)



if __name__ == "__main__":
    main()
