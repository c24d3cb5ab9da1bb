#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the kill matrix and writes its table.

  kill_matrix.py --results FILE.jsonl [--modes managed p2p v2]    runs the cells that FILE lacks
  kill_matrix.py --results FILE.jsonl --table FILE.md             writes the table of what FILE has
"""
import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "guest")]

from kill_cells import MODES, REFUSED_STEPS, STEPS, VICTIMS, all_cells, points_of  # noqa: E402
from kill_run import Pair, Run  # noqa: E402

ROOT = HERE.parents[1]
LEGEND = """A row is the moment: the daemon was stopped just before or just after it wrote that
record or gave that answer. A column is who was killed, or which connection was cut, at that moment.
Then the dead daemons were started again, and the cell says where the guest was found running,
exactly once, with no tick of its counter lost or repeated, and no record, directory, process or
port left over. `lost`: its only copy died with the QEMU that was killed. `–`: there was nobody to
strike, and the migration was completed. `by hand`: it was paused, the state, the status and the log
named `segue resolve`, and that command decided it."""
TITLES = {"managed": "Managed, protocol v3", "p2p": "Peer to peer, protocol v3",
          "v2": "Managed, protocol v2"}


def read(path):
    """{cell name: result} of a results file."""
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["cell"]: row for row in rows}


def run_cells(modes, path):
    done = read(path)
    for mode in modes:
        cells = [cell for cell in all_cells() if cell.mode == mode and cell.name not in done]
        if not cells:
            continue
        pair = Pair(mode)
        try:
            for cell in cells:
                write(path, cell, *result_of(pair, cell))
        finally:
            pair.close()


def result_of(pair, cell):
    """(what became of it, seconds). A red cell's logs are printed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segue-cell-") as folder:
        try:
            end = Run(pair, cell, folder).go()
        except Exception as error:  # pylint: disable=broad-except
            end = f"RED: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            for host in (pair.one, pair.two):
                print(f"--- log of {host.name}\n{host.log()[-6000:]}")
    return end, time.monotonic() - start


def write(path, cell, end, seconds):
    print(f"{cell.name}: {end} ({seconds:.1f} s)", flush=True)
    with open(path, "a", encoding="utf-8") as results:
        results.write(json.dumps({"cell": cell.name, "end": end, "seconds": round(seconds, 1)}))
        results.write("\n")


def word_of(result):
    if result is None:
        return ""
    end = result["end"]
    if end.startswith("RED"):
        return "**RED**"
    if "nobody" in end:
        return "–"
    return end.replace(" (resolved by hand)", ", by hand")


def table_of(mode, results, kind=""):
    """`kind`: the end of the cells' names, "-defined" for those whose definition moves along."""
    along = ", with --persistent --undefinesource" if kind else ""
    lines = [f"## {TITLES[mode]}{along}", "", "| Moment | " + " | ".join(VICTIMS) + " |",
             "|---" * (len(VICTIMS) + 1) + "|"]
    for step in STEPS[mode] + REFUSED_STEPS:
        for point in points_of(step):
            cells = [word_of(results.get(f"{mode}-{point}-{victim}{kind}".replace(" ", "_")))
                     for victim in VICTIMS]
            if any(cells):
                lines.append(f"| {point} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def said(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          check=True).stdout.splitlines()[0]


def document(results):
    cells = all_cells()
    known = [results[cell.name] for cell in cells if cell.name in results]
    red = [row for row in known if row["end"].startswith("RED")]
    missed = [row for row in known if "nobody" in row["end"]]
    date = datetime.date.today().isoformat()
    head = [
        "<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->",
        "<!-- Written by tests/scenario/kill_matrix.py: do not edit. -->",
        f"# The kill matrix on real QEMU, {date}", "",
        f"{len(known)} of {len(cells)} cells were run, {len(red)} of them red; in {len(missed)} "
        "there was nobody to strike. Commit "
        f"`{said('git', 'rev-parse', '--short', 'HEAD')}`, "
        f"{said('qemu-system-x86_64', '--version')}, virsh {said('virsh', '--version')}, "
        f"{platform.platform(terse=True)}. Mean time of a cell: "
        f"{sum(row['seconds'] for row in known) / max(1, len(known)):.1f} s.", "", LEGEND, "",
        "The rows `record.refused` come after another death: the incoming QEMU was killed just "
        "before the right was given.", ""]
    tables = [table_of(mode, results, kind) for kind in ("", "-defined") for mode in MODES]
    return "\n".join(head) + "\n" + "\n\n".join(tables) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--modes", nargs="*", default=MODES, choices=MODES)
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    if given.table:
        given.table.write_text(document(read(given.results)), encoding="utf-8")
        return 0
    run_cells(given.modes, given.results)
    return 1 if any(row["end"].startswith("RED") for row in read(given.results).values()) else 0


if __name__ == "__main__":
    sys.exit(main())
