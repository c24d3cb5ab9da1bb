#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Simple RPC over the local socket: our daemon and stock libvirtd under one load generator, in
turns (tests/peers/rpc_load.cpp, build/release/bin/rpc-load).

  bench/rpc_load.py [RUNS [CONNECTIONS]]      default 5 runs, 8 connections, 3 s each

Prints medians, [min-max], and the machine's load; then the memory of our idle daemon, and how long
it takes to list 1,000 defined domains. First of all the floor: a bare echo between two processes,
since waking a processor that sleeps takes a virtual machine tens of microseconds.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / room) for room in ("interop", "scenario", "guest")]

import libvirt  # noqa: E402
from hosts import BIN, Hosts  # noqa: E402
from stock_libvirtd import StockHost  # noqa: E402

DOMAINS = 1000
DEFINITION = ("<domain type='qemu'><name>d{number}</name><memory unit='MiB'>64</memory>"
              "<os><type machine='pc'>hvm</type></os></domain>")


def load(place, connections):
    done = subprocess.run([BIN / "rpc-load", f"unix:{place}", str(connections)], text=True,
                          capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)


def echo_us(rounds=20_000):
    """Median time of 28 bytes there and back over a socket pair, between two processes."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        while words := there.recv(64):
            there.send(words)
        os._exit(0)
    there.close()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        here.send(bytes(28))
        here.recv(64)
        times.append((time.perf_counter() - start) * 1e6)
    here.close()
    os.waitpid(child, 0)
    return statistics.median(times)


def shown(values):
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


def resident_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("connections", nargs="?", type=int, default=8)
    words = parser.parse_args()
    runs, connections = words.runs, words.connections
    number = 100 + os.getpid() % 100
    print(f"a bare echo: {shown([echo_us() for _ in range(runs)])} us")
    with Hosts(1) as (ours,), StockHost(f"127.0.1.{number}") as stock:
        print(f"idle segued: {resident_kib(ours.process.pid) / 1024:.1f} MiB resident")
        results = {"segued": [], "libvirtd": []}
        for _ in range(runs):
            results["segued"].append(load(ours.socket, connections))
            results["libvirtd"].append(load(stock.socket, connections))
        for label, figures in results.items():
            for key in figures[0]:
                values = [figure[key] for figure in figures]
                if isinstance(values[0], (int, float)):
                    print(f"{label} {key}: {shown(values)}")
        print(f"n={runs}, {connections} connections, load {os.getloadavg()[0]:.1f}")
        connection = libvirt.open(ours.local_uri)
        for index in range(DOMAINS):
            connection.defineXML(DEFINITION.format(number=index))
        times = []
        for _ in range(max(5, runs)):
            start = time.monotonic()
            assert len(connection.listAllDomains()) == DOMAINS
            times.append((time.monotonic() - start) * 1000)
        connection.close()
        print(f"segued: {DOMAINS} defined domains listed in {shown(times)} ms")


if __name__ == "__main__":
    main()
