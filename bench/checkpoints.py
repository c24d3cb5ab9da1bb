#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a checkpoint costs the guest: its pause with a standby of ours, with QEMU's own secondary,
and with a reader that throws the same stream away (the floor). Prints a Markdown table for
docs/results/.

  checkpoints.py [--rounds N] [--seconds S] [--memory MB] [--interval MS] [--loads a,b,…]

A pause is the time between QEMU's own events STOP and RESUME, in its clock; those of the first two
checkpoints are left out. The peers take turns, so that what else the machine does meets all of
them; what is printed is the median over the pauses of all rounds, and the medians of the single
rounds.
"""
import argparse
import os
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "guest"), str(TESTS / "scenario")]
import guest  # noqa: E402  pylint: disable=wrong-import-position
import standby as sb  # noqa: E402  pylint: disable=wrong-import-position

LOADS = {"idle": [], "20 MB/s": ["load=dirty:64:20"], "50 MB/s": ["load=dirty:128:50"]}
LEFT_OUT = 2


class Floor:
    """Speaks a secondary's words, and keeps nothing of what it reads."""

    def __init__(self, directory):
        self.path = directory / "floor.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(1)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        peer, _ = self.listener.accept()
        buffer = memoryview(bytearray(4 << 20))
        try:
            self.read_first(peer, buffer)
            peer.sendall(struct.pack(">I", sb.READY))
            while self.read_exactly(peer, 4) == struct.pack(">I", sb.REQUEST):
                peer.sendall(struct.pack(">I", sb.REPLY))
                self.read_checkpoint(peer, buffer)
                peer.sendall(struct.pack(">II", sb.RECEIVED, sb.LOADED))
        except OSError:
            pass

    @staticmethod
    def read_exactly(peer, size):
        data = b""
        while len(data) < size:
            more = peer.recv(size - len(data))
            if not more:
                raise OSError
            data += more
        return data

    @staticmethod
    def read_first(peer, buffer):
        """It ends with a description in JSON whose length stands before it, and then QEMU waits."""
        tail = b""
        while True:
            size = peer.recv_into(buffer)
            if not size:
                raise OSError
            tail = (tail + bytes(buffer[:size]))[-(1 << 20):]
            at = tail.rfind(b'{"page_size"')
            if at > 5 and struct.unpack(">I", tail[at - 4:at])[0] == len(tail) - at:
                return

    @staticmethod
    def read_checkpoint(peer, buffer):
        """It ends with word 4, a be64 length and so many bytes, and then QEMU waits."""
        tail = b""
        while True:
            size = peer.recv_into(buffer)
            if not size:
                raise OSError
            tail = (tail + bytes(buffer[max(0, size - (1 << 18)):size]))[-(1 << 18):]
            at = tail.rfind(struct.pack(">IQ", sb.SIZE, 0)[:10])
            while at >= 0:
                if at + 12 <= len(tail) and \
                        struct.unpack(">Q", tail[at + 4:at + 12])[0] == len(tail) - at - 12:
                    return
                at = tail.rfind(struct.pack(">IQ", sb.SIZE, 0)[:10], 0, at)


class Peer:
    """One of the three; a context manager whose `uri` a primary migrates to."""

    def __init__(self, kind, directory, primary, memory):
        self.kind, self.inner, self.uri = kind, None, None
        if kind == "ours":
            self.inner = sb.Standby(directory / "s")
            self.uri = self.inner.listen
        elif kind == "QEMU's own":
            self.uri = f"unix:{directory}/stock.sock"
            words = primary.command_line()
            arguments = words[words.index(f"unix:{primary.socket},server=on,wait=off") + 1:]
            self.inner = guest.Qemu(directory / "q", *arguments, "-incoming", self.uri,
                                    memory=memory)
        else:
            self.uri = f"unix:{Floor(directory).path}"

    def __enter__(self):
        if self.inner:
            self.inner.__enter__()
        if self.kind == "QEMU's own":
            self.inner.qmp("migrate-set-capabilities",
                           capabilities=[{"capability": "x-colo", "state": True}])
        return self

    def __exit__(self, *words):
        if self.inner:
            self.inner.__exit__(*words)


def stamp(event):
    return event["timestamp"]["seconds"] * 1e3 + event["timestamp"]["microseconds"] / 1e3


def pauses_of(events):
    pauses, stopped = [], None
    for event in events:
        if event["event"] == "STOP":
            stopped = stamp(event)
        elif event["event"] == "RESUME" and stopped is not None:
            pauses.append(stamp(event) - stopped)
            stopped = None
    # The first one is of the first state.
    return pauses[1 + LEFT_OUT:]


def one_round(kind, words, options):
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        linux = guest.linux("no_timer_check", "tick=100", *words)
        with sb.Primary(directory / "p", *linux, memory=options.memory) as primary:
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
                pauses = pauses_of(primary.qmp.events)
                primary.stop(9)
        return pauses


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--interval", type=int, default=500)
    parser.add_argument("--loads", default=",".join(LOADS))
    options = parser.parse_args()
    kinds = ("floor", "QEMU's own", "ours")
    print("| Guest | Secondary | Pauses | Median (ms) | p90 (ms) | medians of the rounds | Load |")
    print("|---|---|---|---|---|---|---|")
    for name in options.loads.split(","):
        rounds = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                rounds[kind].append(one_round(kind, LOADS[name], options))
        for kind in kinds:
            pauses = sorted(pause for one in rounds[kind] for pause in one)
            medians = ", ".join(f"{statistics.median(one):.1f}" for one in rounds[kind])
            print(f"| {name} | {kind} | {len(pauses)} | {statistics.median(pauses):.1f} | "
                  f"{pauses[len(pauses) * 9 // 10]:.1f} | {medians} | {os.getloadavg()[0]:.1f} |",
                  flush=True)


if __name__ == "__main__":
    main()
