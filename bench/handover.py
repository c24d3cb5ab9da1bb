#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hand-over of the screen, ours beside stock's: the rows of issue 5's table, with medians.

  bench/handover.py [--runs N] [CASE …]    default 5 runs of every case; the client is spice-gtk's
  Cases: near, far, bare, still, icons, windows, frozen; all of them take less than ten minutes

Medians [least-most], in ms where nothing else is said. "beyond" is the blackout without the VM
stop, which the goals allow; a frozen viewer's goal is "stop" beside QEMU's own "downtime". Of stock
nobody waits for the clients but where the case says so: "far" and "bare" are the same runs there.


Distance is made by segue-line between the client and each server. "blackout" is the longest gap
between two drawings that the client shows, around the switch; "VM stop" is QEMU's STOP to RESUME.
"segued" rows are bare QEMUs whose control sockets and migration this program drives as segued does
(it waits for the clients, passes their state on, and resumes the guest at once).
"""
import argparse
import json
import os
import select
import signal
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("interop", "scenario", "guest", "")]

import guest  # noqa: E402
import qtest_qxl  # noqa: E402
from line import Line  # noqa: E402
import spice_tap  # noqa: E402
from spice_lab import Client, Machine, environment  # noqa: E402
from test_spice_control import Control  # noqa: E402

PAIRS = [("stock", "stock"), ("segue", "stock"), ("stock", "segue"), ("segue", "segue")]


class Relay(threading.Thread):
    """What two segued do between two of our libraries: the state of the clients goes over."""

    def __init__(self, source, target):
        super().__init__(daemon=True)
        self.source, self.target = Control(source), Control(target)
        self.linked = threading.Event()
        self.left = threading.Event()
        self.running = True

    def run(self):
        while self.running:
            ready, _, _ = select.select([self.source.socket, self.target.socket], [], [], 0.2)
            for one in ready:
                control = self.source if one is self.source.socket else self.target
                if not self.take(control):
                    return

    def take(self, control):
        line = control.file.readline()
        if not line:
            return False
        event = json.loads(line)
        kind = event.get("event")
        if control is self.source and kind == "clients-linked":
            self.source.tell(cmd="carry-state")
            self.linked.set()
        elif control is self.source and kind == "state":
            state = control.file.read(event["bytes"])
            self.target.tell(cmd="take-state", final=event["final"], bytes=len(state))
            self.target.socket.sendall(state)
        elif control is self.target and kind == "state-taken" and event["final"]:
            self.source.tell(cmd="state-taken")
        return True


class Lab:
    """A pair of machines, their lines and taps, and a client."""

    def __init__(self, folder, pair, rtt_ms=0, seamless=True, qxl=False, **numbers):
        self.folder, self.pair = Path(folder), pair
        options = "seamless-migration=" + ("on" if seamless else "off")
        disk = guest.boot_disk(self.folder / "disk.img", **numbers)
        self.machines = []
        for name, library, more in (("source", pair[0], []),
                                    ("target", pair[1],
                                     ["-incoming", f"unix:{folder}/migrate.sock"])):
            machine = Machine(self.folder / name, *disk, *["-device", "qxl"] * qxl, *more,
                              library=library, options=options, tcp=True)
            if qxl:
                machine.argv += qtest_qxl.arguments(machine.directory / "qtest.sock")
            machine.environment = {**environment(library),
                                   "SEGUE_SPICE_CONTROL": f"{folder}/{name}.control"}
            self.machines.append(machine)
        self.first, self.second = self.machines
        self.rtt_ms = rtt_ms

    def __enter__(self):
        for machine in self.machines:
            machine.__enter__()
        self.taps = [spice_tap.Tap(m.port).__enter__() for m in self.machines]
        self.lines = [Line(tap.port, self.rtt_ms) for tap in self.taps]
        self.first.wait_frame(1) if self.first else None
        self.relay = None
        if self.pair == ("segue", "segue"):
            self.relay = Relay(self.folder / "source.control", self.folder / "target.control")
        self.client = self.make_client(f"spice://127.0.0.1:{self.lines[0].port}")
        self.client.wait("mark", timeout=30)
        self.client.wait("channel-event", timeout=30, kind="CursorChannel", what="opened")
        return self

    def __exit__(self, *_):
        self.client.__exit__()
        if self.relay:
            self.relay.running = False
        for line in self.lines:
            line.close()
        for one in (*self.taps, *self.machines):
            one.__exit__()

    def make_client(self, uri):
        return Client(uri)

    def announce(self, orchestrated):
        if self.relay and orchestrated:
            self.relay.start()
        self.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                       port=self.lines[1].port)
        if not orchestrated:
            return
        if self.relay:
            self.relay.linked.wait(10)
        else:  # all that an orchestrator can see of stock's library: the links at the target
            end = time.monotonic() + 10
            wanted = len(self.first.channels())
            while len(self.second.channels()) < wanted and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(self.rtt_ms / 1000)

    def move(self, mb_s=1024):
        """Moves the machine; returns how long it stood still and when it ran again (ms of the
        monotonic clock)."""
        for name in ("STOP", "RESUME"):
            for machine in self.machines:
                machine.qmp.events[:] = [e for e in machine.qmp.events if e["event"] != name]
        self.first.qmp("migrate-set-parameters", max_bandwidth=mb_s << 20)
        self.first.qmp("migrate", uri=f"unix:{self.folder}/migrate.sock")
        stop = stamp(self.first.qmp.wait_event("STOP", 60))
        resumed = stamp(self.second.qmp.wait_event("RESUME", 60))
        return resumed - stop, resumed - (time.time() - time.monotonic()) * 1e3

    def lost(self):
        return self.client.count("disconnected") > 0


def stamp(event):
    return event["timestamp"]["seconds"] * 1e3 + event["timestamp"]["microseconds"] / 1e3


def gap_at(client, begin, end):
    """The longest time without a drawing at the client that touches this stretch (ms of the
    monotonic clock), in ms: gaps of a busy machine before and after it do not count."""
    times = [e["t_us"] / 1e3 for e in client.drain() if e["event"] == "draw"]
    return max((b - a for a, b in zip(times, times[1:]) if b >= begin and a <= end), default=0)


def settle(seconds):
    """Lets the client see what comes after: a stretch of time, not a state, is what is measured."""
    time.sleep(seconds)


def blackout(folder, pair, rtt_ms, orchestrated, before=0.0, after=3.0):
    with Lab(folder, pair, rtt_ms, fps=33) as lab:
        settle(0.5)
        lab.announce(orchestrated)
        settle(before)
        stop, resumed = lab.move()
        settle(after + 4 * rtt_ms / 1000)
        # From the stop on, until what was said at the end of the move has been answered.
        gap = gap_at(lab.client, resumed - stop, resumed + 2.5 * rtt_ms + 20)
        switched = lab.client.count("migration", state="switching")
        return {"blackout": gap, "stop": stop, "beyond": gap - stop, "switch_host": switched,
                "lost": lab.lost()}


def frozen(folder, pair):
    with Lab(folder, pair, fps=50 if pair[0] == "segue" else 20) as lab:
        lab.announce(True)
        settle(0.5)
        lab.client.process.send_signal(signal.SIGSTOP)
        settle(1)  # its socket fills
        stop, _ = lab.move()
        downtime = lab.first.qmp("query-migrate").get("downtime", 0)
        lab.client.process.send_signal(signal.SIGCONT)
        settle(1.5)
        return {"stop": stop, "downtime": downtime, "lost": lab.lost()}


def still(folder, pair):
    """Display bytes of the target within 2 s of the switch; nothing is drawn."""
    with Lab(folder, pair, fps=1, tick_ms=100) as lab:
        lab.announce(True)
        # The guest paints once a second: what it paints itself is the same in every row.
        stop, _ = lab.move()
        began = time.monotonic()
        settle(2.2)
        display = [m for m in lab.taps[1].of(spice_tap.DISPLAY) if m.at < began + 2]
        return {"stop": stop, "bytes": sum(6 + m.size for m in display),
                "creates": len([m for m in display if m.number == spice_tap.SURFACE_CREATE]),
                "lost": lab.lost()}


def icons(folder, pair):
    """Display bytes of the target while a guest's driver draws the icons anew that it has drawn
    before, within 2 s of the switch."""
    numbers = range(11, 11 + ICONS)

    def draw(device, y):
        for at, number in enumerate(numbers):
            device.icon(number, 16 * (at % 20), y + 16 * (at // 20))
    with Lab(folder, pair, qxl=True, fps=1, tick_ms=100) as lab, \
            qtest_qxl.Device(lab.first.directory / "qtest.sock") as device:
        draw(device, 0)
        settle(1)
        before = drawn_bytes(lab.taps[0], 0)
        lab.announce(True)
        stop, _ = lab.move()
        began = time.monotonic()
        with device.moved(lab.second.directory / "qtest.sock") as moved:
            draw(moved, 100)
            took = time.monotonic() - began
            settle(max(0, 2.2 - took))
        return {"stop": stop, "took_ms": took * 1e3, "at_first": before,
                "bytes": drawn_bytes(lab.taps[1], began), "lost": lab.lost()}


def drawn_bytes(tap, began):
    """What a display's server sent within 2 s."""
    return sum(6 + m.size for m in tap.of(spice_tap.DISPLAY)
               if began == 0 or m.at < began + 2)


def windows(folder, pair):
    """How often a semi-seamless client makes its window anew."""
    with Lab(folder, pair, seamless=False, fps=20) as lab:
        lab.announce(True)
        settle(0.5)
        stop, _ = lab.move()
        settle(2)
        return {"stop": stop, "made": lab.client.count("primary") - 1, "lost": lab.lost()}


ICONS = 40  # of 16x16 pixels
OURS = ("segue", "segue")
STOCK = ("stock", "stock")
# Their title, the goal for ours, the pairs, and one run.
CASES = {
    "near": ("40 ms round trip, clients waited for",
             "beyond: 20 and a frame of 30 (to stock: 60 and a frame)", PAIRS,
             lambda folder, pair: blackout(folder, pair, 40, True, before=0.5, after=2)),
    "far": ("200 ms round trip, the move begins at once; ours under segued",
            "beyond: 100 and a frame of 30; no switch_host", [STOCK, OURS],
            lambda folder, pair: blackout(folder, pair, 200, pair == OURS)),
    "bare": ("200 ms round trip, the move begins at once, bare QEMU pair",
             "beyond: 1,150; no switch_host", [OURS],
             lambda folder, pair: blackout(folder, pair, 200, False)),
    "still": ("display bytes in 2 s after the switch", "none but the guest's own", [STOCK, OURS],
              still),
    "icons": (f"display bytes in 2 s after the switch, a desktop that draws {ICONS} cached icons",
              "none but the drawings that name them", [STOCK, OURS], icons),
    "windows": ("windows made anew, semi-seamless", "none", [STOCK, OURS], windows),
    "frozen": ("viewer frozen at the switch", "stop: downtime and 20", [OURS, STOCK], frozen),
}


def run_once(case, pair):
    """None where a run had no result."""
    with tempfile.TemporaryDirectory(prefix="hb-") as folder:
        try:
            return CASES[case][3](folder, pair)
        except (TimeoutError, ConnectionError, RuntimeError) as error:
            print(f"  {' to '.join(pair)}: a run without a result: {error!r}", flush=True)
            return None


def run_all(case, pair, runs):
    # Each waits for 30 s, and nothing is measured meanwhile.
    at_once = runs if (case, pair) == ("frozen", STOCK) else 1
    with ThreadPoolExecutor(at_once) as pool:
        return [one for one in pool.map(lambda _: run_once(case, pair), range(runs)) if one]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    words = parser.parse_args()
    began = time.monotonic()
    for case in words.cases or CASES:
        title, goal, pairs, _ = CASES[case]
        print(f"{case}: {title}; goal: {goal}", flush=True)
        for pair in pairs:
            results = run_all(case, pair, words.runs)
            if not results:
                continue
            shown = {key: [r[key] for r in results] for key in results[0]}
            lost = sum(shown.pop("lost"))
            text = ", ".join(f"{key} {statistics.median(values):.0f} "
                             f"[{min(values):.0f}-{max(values):.0f}]"
                             for key, values in shown.items())
            print(f"  {' to '.join(pair)}: {text}, sessions lost {lost}, n={len(results)}, "
                  f"load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
