#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host costs that does nothing: memory of an idle daemon, and a list of many domains.

  bench/daemon_idle.py [DOMAINS] [RUNS]     default 1000 and 15; medians, and the machine's load
"""
import argparse
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/scenario"), str(ROOT / "tests/guest")]

from hostile import LIST_ALL_DOMAINS, Client, text  # noqa: E402
from hosts import BIN, Hosts  # noqa: E402
from machines import Machine  # noqa: E402

DEFINE_XML = 11


def resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def define_many(host, folder, count):
    machine = Machine(folder, spice=True)
    with Client(host.socket, timeout=60) as client:
        for number in range(count):
            xml = machine.xml.replace("<name>g<", f"<name>vm{number:05}<").replace(
                machine.uuid, str(uuid.uuid4()))
            client.call(DEFINE_XML, text(xml))


def processor_ms(pid):
    """What the daemon has used since it started, in steps of the kernel's clock (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def timed(runs, host, action):
    """Milliseconds of so many runs: median and least by the wall clock, and the daemon's own
    processor time, which other load does not change much."""
    times, before = [], processor_ms(host.process.pid)
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    own = (processor_ms(host.process.pid) - before) / runs
    return (f"{statistics.median(times):.1f} ms (least {min(times):.1f}), of which the daemon's "
            f"processor {own:.2f}")


def program(*words):
    return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def virsh(host, *words):
    return program("virsh", "-c", host.local_uri, *words)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("runs", nargs="?", type=int, default=15)
    words = parser.parse_args()
    count, runs = words.count, words.runs
    with tempfile.TemporaryDirectory() as folder, Hosts(1) as (host,):
        host.virsh("list")
        time.sleep(2)  # the probe of the emulator is over
        print(f"idle: {resident_mib(host.process.pid):.1f} MiB resident")
        define_many(host, folder, count)
        print(f"{count} domains defined: {resident_mib(host.process.pid):.1f} MiB resident")
        host.stop()
        start = time.perf_counter()
        host.start()
        print(f"restart until ready: {(time.perf_counter() - start) * 1000:.0f} ms, then "
              f"{resident_mib(host.process.pid):.1f} MiB resident")
        with Client(host.socket) as client:
            wanted = struct.pack(">iI", 1, 0)
            print("one call (ConnectListAllDomains): "
                  + timed(20 * runs, host, lambda: client.call(LIST_ALL_DOMAINS, wanted)))
        print("segue list --all:        "
              + timed(runs, host, program(BIN / "segue", "-c", host.local_uri, "list", "--all")))
        print("virsh list --all --name: "
              + timed(runs, host, virsh(host, "list", "--all", "--name")))
        print("virsh list --all:        "
              + timed(runs, host, virsh(host, "list", "--all")))
        print("virsh list (none runs):  "
              + timed(runs, host, virsh(host, "list")))
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
