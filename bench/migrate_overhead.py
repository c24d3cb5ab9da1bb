#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control-plane overhead: wall time of `virsh migrate --live` minus QEMU's own total-time.

  bench/migrate_overhead.py [RUNS]     default 5; an idle 256 MiB guest without a viewer, there and
                                       back, managed and --p2p; medians, and the machine's load
"""
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/scenario"), str(ROOT / "tests/guest")]

from hosts import Hosts  # noqa: E402
from machines import Machine  # noqa: E402


def figure(host, name, key):
    found = re.search(rf"qemu_{key} = (\d+)", host.log()[host.mark:])
    return int(found.group(1)) if found else None


def one_move(source, destination, name, mode):
    source.mark = len(source.log())
    start = time.monotonic()
    source.virsh("migrate", "--live", "--unsafe", *mode, name, destination.uri)
    wall = (time.monotonic() - start) * 1000
    time.sleep(0.3)
    return wall, figure(source, name, "total_ms"), figure(source, name, "downtime_ms")


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder, Hosts(2) as (one, two):
        os.chmod(folder, 0o755)
        machine = Machine(folder, name="bench", memory=256, fps=0)
        one.virsh("create", machine.path)
        machine.ticks.wait(5)
        for title, mode in (("managed", []), ("p2p", ["--p2p"])):
            results = []
            for _ in range(runs):
                results.append(one_move(one, two, "bench", mode))
                results.append(one_move(two, one, "bench", mode))
            print(f"{title}: wall {statistics.median(r[0] for r in results):.0f} ms, QEMU "
                  f"{statistics.median(r[1] for r in results):.0f} ms, overhead "
                  f"{statistics.median(r[0] - r[1] for r in results):.0f} ms "
                  f"[{min(r[0] - r[1] for r in results):.0f}-"
                  f"{max(r[0] - r[1] for r in results):.0f}], downtime "
                  f"{statistics.median(r[2] for r in results):.0f} ms, n={len(results)}, "
                  f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
