#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control-plane overhead: wall time of `virsh migrate --live` minus QEMU's own total-time, of our
daemons and of stock libvirtd beside them, in turns.

  bench/migrate_overhead.py [--runs N] [--ours] [--viewer]

An idle 256 MiB guest, N times there and back (default 5), managed and --p2p; each daemon on
loopback, and under a first process that reaps (stock waits 2 s for each orphan otherwise). --ours
leaves stock out. With --viewer a headless segue-view is attached; the time that our daemon waits
for it to link before the move, which stock does not, is told and taken off. Prints one line a case:
medians, [min-max], the machine's load.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / room) for room in ("interop", "scenario", "guest")]

from hosts import Hosts, wait_until  # noqa: E402
from machines import Machine  # noqa: E402
from stock_libvirtd import StockHost  # noqa: E402
from viewer import Viewer  # noqa: E402

INSIDE = "SEGUE_BENCH_INSIDE"


def qemu_figures(source, mark):
    """(total-time, downtime) in ms, as QEMU said them to the source's daemon; None when it has not
    yet been written down."""
    text = source.log()[mark:]
    found = re.findall(r"qemu_total_ms = (\d+)[\s\S]*?qemu_downtime_ms = (\d+)", text)
    if not found:
        for line in text.splitlines():
            total = re.search(r'"total-time": (\d+)', line)
            downtime = re.search(r'"downtime": (\d+)', line)
            if '"status": "completed"' in line and total and downtime:
                found.append((total.group(1), downtime.group(1)))
    return tuple(map(int, found[-1])) if found else None


def screen_wait(text):
    """ms that the viewer was waited for, as the timeline in the log says it."""
    found = re.findall(r"\|\s+screen\s+source\s+[\d.]+ ms\s+([\d.]+) ms", text)
    return float(found[-1]) if found else 0.0


def one_move(source, destination, name, mode):
    """(wall, total, downtime, screen wait) in ms of one migration."""
    mark = len(source.log())
    start = time.monotonic()
    source.virsh("migrate", "--live", "--unsafe", *mode, name, destination.uri)
    wall = (time.monotonic() - start) * 1000
    figures = figures_of(source, mark)
    time.sleep(1.0)  # a viewer has followed, and what ended is gone
    return (wall, *figures, screen_wait(source.log()[mark:]))


def figures_of(source, mark):
    """qemu_figures, when they are there; else an error that shows what the log says instead."""
    try:
        return wait_until(lambda: qemu_figures(source, mark), 60, "QEMU's figures in the log")
    except Exception:
        print(f"--- log of {source.name}\n{source.log()[mark:][-8000:]}", file=sys.stderr)
        raise


def measure(pairs, runs):
    for title, mode in (("managed", []), ("p2p", ["--p2p"])):
        results = {label: [] for label in pairs}
        for _ in range(runs):
            for label, (one, two) in pairs.items():
                results[label].append(one_move(one, two, "bench", mode))
                results[label].append(one_move(two, one, "bench", mode))
        for label, figures in results.items():
            overhead = [wall - total - linking for wall, total, _, linking in figures]
            print(f"{label} {title}: overhead {statistics.median(overhead):.0f} ms "
                  f"[{min(overhead):.0f}-{max(overhead):.0f}], wall "
                  f"{statistics.median(one[0] for one in figures):.0f} ms, QEMU "
                  f"{statistics.median(one[1] for one in figures):.0f} ms, downtime "
                  f"{statistics.median(one[2] for one in figures):.0f} ms, linking "
                  f"{statistics.median(one[3] for one in figures):.0f} ms, "
                  f"n={len(figures)}, load {os.getloadavg()[0]:.1f}", flush=True)


def run(runs, with_stock, with_viewer):
    with tempfile.TemporaryDirectory() as folder, Hosts(2) as ours, ExitStack() as viewers:
        os.chmod(folder, 0o755)

        def start(host, name):
            machine = Machine(Path(folder) / name, name="bench", memory=256, fps=0,
                              spice=with_viewer)
            host.virsh("create", machine.path)
            machine.ticks.wait(5)
            if with_viewer:
                screen = host.virsh("domdisplay", "bench").strip()
                attached = viewers.enter_context(Viewer(Path(folder) / f"{name}-view", screen))
                attached.wait("connected")
        start(ours[0], "ours")
        if not with_stock:
            return measure({"segued": ours}, runs)
        number = 100 + os.getpid() % 50
        with StockHost(f"127.0.1.{number}", "stocka", monitor_in_log=True) as one, \
                StockHost(f"127.0.1.{number + 50}", "stockb", monitor_in_log=True) as two:
            start(one, "stock")
            return measure({"segued": ours, "libvirtd": (one, two)}, runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--viewer", action="store_true")
    options = parser.parse_args()
    if os.environ.get(INSIDE):
        return run(options.runs, not options.ours, options.viewer)
    # A first process that reaps, for ours as for stock.
    reaper = "\"$@\" & job=$!; while kill -0 $job 2>/dev/null; do wait -n; done; wait $job"
    return subprocess.call(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "bash",
                            "-c", reaper, "reaper", sys.executable, __file__, *sys.argv[1:]],
                           env={**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    sys.exit(main())
