#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replays of recorded displays on our library beside stock's, in one run, by turns: CPU time of
the whole library, without that of reading the recording (see spice_replay.cpp); that of its thread
which draws, encodes and sends; and bytes on the wire. Medians; prints a Markdown table.

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
ALWAYS = 2  # spice_wan_compression_t
MODES = {name: {"compression": number} for name, number in COMPRESSIONS.items()}
MODES["jpeg"] = {"compression": COMPRESSIONS["auto_glz"], "jpeg": ALWAYS}
MODES["zlib_glz"] = {"compression": COMPRESSIONS["glz"], "zlib": ALWAYS}


class Row:
    """Of one scene and mode: medians of runs that took turns, ours before stock's."""

    def __init__(self, files, mode, runs, directory):
        got = {library: [] for library in LIBRARIES}
        for _ in range(runs):
            for library in LIBRARIES:
                got[library].append(
                    Replay(library, *files, **MODES[mode]).run(directory))
        self.median = {library: {what: statistics.median(run[what] for run in got[library])
                                 for what in ("library_us", "worker_us", "bytes")}
                       for library in LIBRARIES}
        ours, theirs = (got[library][-1]["picture"] for library in LIBRARIES)
        self.is_same = ours.data == theirs.data

    def compared(self, what):
        """Ours / stock's in thousands, and the ratio."""
        ours, theirs = (max(1, self.median[library][what]) for library in LIBRARIES)
        return f"{ours / 1000:.0f} / {theirs / 1000:.0f} | {ours / theirs:.2f}x"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--scenes", default="console,desktop,mixed,paint,video")
    options.add_argument("--modes", default=",".join(MODES))
    options.add_argument("recordings", nargs="*")
    chosen = options.parse_args()
    print("| Scene | Mode | CPU ours / stock ms | CPU | Worker ours / stock ms | Worker "
          "| Bytes ours / stock kB | Bytes | Same |\n|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        files = {Path(path).stem: (path, recordings.times(path, Path(directory) / "given.times"))
                 for path in chosen.recordings}
        for name in [] if files else chosen.scenes.split(","):
            files[name] = scene(name, directory, chosen.seconds)
        for name, pair in files.items():
            for mode in chosen.modes.split(","):
                row = Row(pair, mode, chosen.runs, directory)
                print(f"| {name} | {mode} | {row.compared('library_us')} "
                      f"| {row.compared('worker_us')} | {row.compared('bytes')} "
                      f"| {'yes' if row.is_same else 'NO'} |", flush=True)


if __name__ == "__main__":
    main()
