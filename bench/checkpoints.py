#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a checkpoint costs the guest: its pause with a standby of ours, with QEMU's own secondary,
and with a reader that throws the same stream away (the floor). Prints a Markdown table for
docs/results/.

  checkpoints.py [--rounds N] [--seconds S] [--memory MB] [--interval MS] [--loads a,b,…]
                 [--peers a,b,…]

The guest has a disk and a network card that are connected to nothing, so that their state is part
of each checkpoint. A pause is the time between QEMU's own events STOP and RESUME, in its clock;
those of the first two checkpoints are left out. The peers take turns, so that what else the machine
does meets all of them; what is printed is the median over the pauses of all rounds, the median of
the ratios to QEMU's own secondary of the same round, the checkpoints in a second, the part of the
time that the guest stood still, and the medians of the single rounds.

Peers: floor, qemu and ours by unix sockets, qemu-tcp by loopback, and remote: our agent beside the
primary, and our standby behind loopback TCP with its heartbeats.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "guest"), str(TESTS / "scenario")]
import agent as ag  # noqa: E402  pylint: disable=wrong-import-position
import guest  # noqa: E402  pylint: disable=wrong-import-position
import standby as sb  # noqa: E402  pylint: disable=wrong-import-position

LOADS = {"idle": [], "20 MB/s": ["load=dirty:64:20"], "50 MB/s": ["load=dirty:128:50"]}
LEFT_OUT = 2
FLOOR = sb.PROGRAM.with_name("colo-floor")
PEERS = ("floor", "qemu", "ours", "qemu-tcp", "remote")
DEVICES = ["-blockdev", "driver=null-co,node-name=d0,size=16777216,read-zeroes=on",
           "-device", "virtio-blk-pci,drive=d0", "-netdev", "hubport,id=n0,hubid=0",
           "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:02,romfile="]


class Floor:
    """Keeps nothing of what it reads (tests/peers/colo_floor.cpp)."""

    def __init__(self, directory):
        self.path, self.process = directory / "floor.sock", None

    def __enter__(self):
        self.process = subprocess.Popen([str(FLOOR), str(self.path)])
        while not self.path.exists():
            assert self.process.poll() is None
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(60)


class Peer:
    """One of PEERS; a context manager whose `uri` a primary migrates to."""

    def __init__(self, kind, directory, primary, memory):
        self.kind, self.parts = kind, []
        if kind == "ours":
            self.parts = [sb.Standby(directory / "s")]
            self.uri = self.parts[0].listen
        elif kind == "remote":
            standby = sb.Standby(directory / "s")
            standby.argv[1:3] = ["--agent", "tcp:127.0.0.1:0"]
            self.parts = [standby]
            self.uri = f"unix:{directory}/agent/colo.sock"
        elif kind in ("qemu", "qemu-tcp"):
            self.uri = f"unix:{directory}/stock.sock" if kind == "qemu" else "tcp:127.0.0.1:0"
            words = primary.command_line()
            arguments = words[words.index(f"unix:{primary.socket},server=on,wait=off") + 1:]
            self.parts = [guest.Qemu(directory / "q", *arguments, "-incoming", self.uri,
                                     memory=memory)]
        else:
            self.parts = [Floor(directory)]
            self.uri = f"unix:{self.parts[0].path}"
        self.directory, self.primary = directory, primary

    def __enter__(self):
        os.environ["SEGUE_AGENT_KEY"] = ag.KEY
        for part in self.parts:
            part.__enter__()
        if self.kind.startswith("qemu"):
            qmp = self.parts[0].qmp
            qmp("migrate-set-capabilities", capabilities=[{"capability": "x-colo", "state": True}])
            where = qmp("query-migrate").get("socket-address", [{}])[0]
            if self.kind == "qemu-tcp":
                self.uri = f"tcp:127.0.0.1:{where['port']}"
        if self.kind == "remote":
            address = "tcp:" + self.parts[0].control(cmd="status")["listen"]
            beside = ag.Agent(self.directory, address, self.primary.process.pid, "--cards", "0",
                              disk_bytes=0)
            self.parts.append(beside.__enter__())
        return self

    def __exit__(self, *words):
        for part in reversed(self.parts):
            part.__exit__(*words)


def stamp(event):
    return event["timestamp"]["seconds"] * 1e3 + event["timestamp"]["microseconds"] / 1e3


def pauses_of(events):
    """Of one round, in milliseconds: the pauses, and from the begin of the first one to the end of
    the last one."""
    pauses, stopped = [], None
    for event in events:
        if event["event"] == "STOP":
            stopped = stamp(event)
        elif event["event"] == "RESUME" and stopped is not None:
            pauses.append((stopped, stamp(event)))
            stopped = None
    # The first one is of the first state.
    pauses = pauses[1 + LEFT_OUT:]
    assert len(pauses) > 1, "too few checkpoints: give more --seconds"
    return [end - begin for begin, end in pauses], pauses[-1][1] - pauses[0][0]


def one_round(kind, words, options):
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        linux = guest.linux("no_timer_check", "tick=100", *words)
        with sb.Primary(directory / "p", *linux, *DEVICES, memory=options.memory) as primary:
            primary.ticks.wait(20, timeout=sb.PATIENCE)
            with Peer(kind, directory, primary, options.memory) as peer:
                primary.protect(peer.uri, options.interval)
                end = time.monotonic() + sb.PATIENCE
                while primary.qmp("query-migrate").get("status") != "colo":
                    assert time.monotonic() < end, "no checkpoints"
                    time.sleep(0.1)
                end = time.monotonic() + options.seconds
                while time.monotonic() < end:
                    primary.qmp("query-status")
                    time.sleep(0.2)
                measured = pauses_of(primary.qmp.events)
                primary.stop(9)
        return measured


def print_row(name, kind, rounds):
    pauses = sorted(pause for one, _ in rounds[kind] for pause in one)
    medians = [statistics.median(one) for one, _ in rounds[kind]]
    stock = "qemu-tcp" if kind == "remote" and "qemu-tcp" in rounds else "qemu"
    ratio = "–"
    if stock in rounds and stock != kind:
        beside = [statistics.median(one) for one, _ in rounds[stock]]
        ratio = f"{statistics.median(own / other for own, other in zip(medians, beside)):.2f}x"
    span = sum(time for _, time in rounds[kind])
    print(f"| {name} | {kind} | {len(pauses)} | {statistics.median(pauses):.1f} | "
          f"{pauses[len(pauses) * 9 // 10]:.1f} | {ratio} | {1e3 * len(pauses) / span:.1f} | "
          f"{100 * sum(pauses) / span:.1f} % | {', '.join(f'{one:.1f}' for one in medians)} | "
          f"{os.getloadavg()[0]:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--interval", type=int, default=500)
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--peers", default=",".join(PEERS))
    options = parser.parse_args()
    kinds = options.peers.split(",")
    print("| Guest | Secondary | Pauses | Median (ms) | p90 (ms) | beside QEMU's | a second "
          "| stopped | medians of the rounds (ms) | Load |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in options.loads.split(","):
        rounds = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                rounds[kind].append(one_round(kind, LOADS[name], options))
        for kind in kinds:
            print_row(name, kind, rounds)


if __name__ == "__main__":
    main()
