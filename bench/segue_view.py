#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-view beside spice-gtk: the rows of issue 4's table, medians of one run, in which the two
take turns.

  bench/segue_view.py [RUNS] [CASE …]     default 5 runs of every case
  Cases: open, decode, pong, move, first, memory, size

spice-gtk is spicy-stats (a session without a screen) where nothing but the session counts,
spicy-screenshot for the first picture, and its GObject binding where single drawings count (move).
"""
import argparse
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("bench", "tests/interop", "tests/scenario",
                                              "tests/guest", "tests/bench")]

import guest  # noqa: E402
import handover  # noqa: E402
import recordings  # noqa: E402
from hosts import free_port  # noqa: E402
from replaying import COMPRESSIONS, Replay  # noqa: E402
from spice_lab import Machine  # noqa: E402
from spice_meter import Meter  # noqa: E402
from viewer import Viewer  # noqa: E402

VIEWER = ROOT / "build" / "release" / "bin" / "segue-view"
PEERS = ("segue-view", "spice-gtk")


class Session:
    """One of the peers on a port, without a screen and without anything to write; a context
    manager."""

    def __init__(self, peer, port):
        self.argv = ([VIEWER, "--headless", f"spice://127.0.0.1:{port}"] if peer == "segue-view"
                     else ["spicy-stats", "-h", "127.0.0.1", "-p", str(port)])

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def cpu_ms(self):
        """Of all its threads so far."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e6

    def answering_cpu_ms(self):
        """Of the thread that answers the server, in both the first one."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6

    def settled_cpu_ms(self):
        """When it has had nothing to do for half a second."""
        before, since = self.cpu_ms(), time.monotonic()
        while time.monotonic() - since < 0.5:
            time.sleep(0.05)
            now = self.cpu_ms()
            if now - before > 1:
                before, since = now, time.monotonic()
        return self.cpu_ms()

    def memory_kib(self):
        """(of its own, resident)"""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Rss"]


def wait(test, what, timeout=30):
    end = time.monotonic() + timeout
    while not (found := test()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.005)
    return found


def report(title, ours, theirs, unit, digits=1):
    def text(values):
        return (f"{statistics.median(values):.{digits}f} "
                f"[{min(values):.{digits}f}-{max(values):.{digits}f}]")
    ratio = statistics.median(ours) / max(statistics.median(theirs), 1e-9)
    print(f"| {title} | {text(ours)} {unit} | {text(theirs)} {unit} | {ratio:.2f}x "
          f"| {len(ours)} | {os.getloadavg()[0]:.1f} |", flush=True)


def in_turns(runs, measure):
    """{peer: values} of `measure(peer)`."""
    values = {peer: [] for peer in PEERS}
    for _ in range(runs):
        for peer in PEERS:
            values[peer].append(measure(peer))
    return values


# --- Opening four channels ------------------------------------------------------------------------

def open_channels(runs):
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        for library in ("stock", "segue"):
            with Machine(Path(folder) / library, library=library, tcp=True) as vm:
                time.sleep(1)  # the firmware's own drawing
                for rtt in (0, 40):
                    def measure(peer, rtt=rtt, port=vm.port):
                        with Meter(port, rtt) as meter, Session(peer, meter.port):
                            wait(lambda: len(meter.opened) == 4, f"{peer}: {meter.opened}")
                            return max(meter.opened) * 1000
                    got = in_turns(runs, measure)
                    report(f"4 channels open, {library}'s server, {rtt} ms round trip",
                           *got.values(), "ms")


# --- CPU per frame --------------------------------------------------------------------------------

def film(path, seconds, width=1024, height=768, rate=10):
    """A photo that fills the screen and moves: nothing in it compresses well."""
    chance = random.Random(7)
    picture = recordings.photo(chance, width + 200, height + 100)
    with recordings.Recording(path, width, height) as recording:
        for frame in range(int(seconds * rate)):
            recording.at_ms = frame * 1000 / rate
            x, y = frame * 7 % 200, frame * 5 % 100
            data = b"".join(line[x * 4:(x + width) * 4] for line in picture[y:y + height])
            recording.copy((0, 0, width, height), recordings.Bitmap(width, height, data))


SCENES = {"paint": recordings.paint, "film": film}
# Scene, mode, and of the server: compression, jpeg and zlib (2: always; 3: never). Photos are what
# goes as JPEG; LZ and its kin are for the rest.
MODES = [("paint", "lz", "lz", 3, 3), ("paint", "glz", "glz", 3, 3),
         ("paint", "quic", "quic", 3, 3), ("film", "quic", "quic", 3, 3),
         ("film", "jpeg", "auto_glz", 2, 3),
         ("paint", "zlib", "glz", 3, 2), ("paint", "lz4", "lz4", 3, 3)]


def decode(runs):
    """The same replay, on stock's server, to each: what the client's process needs for it."""
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        files = {}
        for scene, make in SCENES.items():
            path = Path(folder) / f"{scene}.rec"
            make(path, 3)
            files[scene] = path, recordings.times(path, path.with_suffix(".times"))
        for scene, mode, compression, jpeg, zlib in MODES:
            def measure(peer):
                replay = Replay("stock", *files[scene], compression=COMPRESSIONS[compression],
                                jpeg=jpeg, zlib=zlib, streaming=1)
                port = free_port()
                process = replay.start(port)
                try:
                    with Session(peer, port) as session:
                        before = calm(session)
                        assert process.stdout.readline() == "consumed\n"
                        after = session.settled_cpu_ms()
                finally:
                    process.kill()
                    process.communicate()
                return after - before
            got = in_turns(runs, measure)
            report(f"decode {scene}, {mode}", *got.values(), "ms CPU")


def calm(session):
    """Its CPU time when the links are over: the replay begins a second behind them."""
    time.sleep(0.6)
    return session.cpu_ms()


# --- PONG beside a picture ------------------------------------------------------------------------

def pong(runs):
    """How long a PING waits that comes right behind a picture of 3840 x 2160, or while it is
    decoded."""
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        path = Path(folder) / "large.rec"
        film(path, 4, 3840, 2160, 0.5)
        times = recordings.times(path, path.with_suffix(".times"))
        for mode, when_read in itertools.product(("quic", "lz"), (True, False)):
            ran = {peer: [] for peer in PEERS}

            def measure(peer, mode=mode, when_read=when_read, ran=ran):
                replay = Replay("stock", path, times, compression=COMPRESSIONS[mode])
                port = free_port()
                process = replay.start(port)
                try:
                    with Meter(port, ping_behind=1 << 20, when_read=when_read) as meter, \
                            Session(peer, meter.port) as session:
                        meter.watch = session.answering_cpu_ms
                        wait(lambda: meter.pongs, "no PONG")
                        ran[peer].append(meter.watched[0])
                        return meter.pongs[0] * 1000
                finally:
                    process.kill()
                    process.communicate()
            got = in_turns(runs, measure)
            when = "while it is decoded" if when_read else "right behind it"
            report(f"PONG for a 4K picture in {mode}, {when}", *got.values(), "ms", 2)
            report("of it the answering thread ran", *ran.values(), "ms", 2)


# --- Moves ----------------------------------------------------------------------------------------

class OurClient:
    """segue-view as handover.Lab knows its client."""

    def __init__(self, folder, uri):
        self.view = Viewer(Path(folder) / "view", uri).__enter__()

    def wait(self, event, timeout=15, **_fields):
        self.view.wait({"mark": "frame", "channel-event": "connected"}[event], timeout=timeout)

    def drain(self):
        names = {"frame": "draw"}
        return [{**event, "event": names.get(event["event"], event["event"])}
                for event in self.view.events]

    def count(self, event, **_fields):
        return sum(one["event"] == event for one in self.drain())

    def __exit__(self, *_):
        self.view.stop()


class MoveLab(handover.Lab):
    def __init__(self, peer, *words, **more):
        self.peer = peer
        super().__init__(*words, **more)

    def make_client(self, uri):
        if self.peer == "segue-view":
            return OurClient(self.folder, uri)
        return super().make_client(uri)


def other_sizes(events, kind):
    """How often the window became another one: events of this kind with another size."""
    sizes = [(e["width"], e["height"]) for e in events if e["event"] == kind]
    return sum(a != b for a, b in zip(sizes, sizes[1:]))


def move(runs):
    """Stock to stock over 40 ms, the links waited for: the longest time without a drawing around
    the move, less what the machine itself stood still, and pictures of another size."""
    for seamless in (True, False):
        anew, lost = {peer: [] for peer in PEERS}, {peer: 0 for peer in PEERS}

        def measure(peer):
            with tempfile.TemporaryDirectory(prefix="vb-") as folder, \
                    MoveLab(peer, folder, ("stock", "stock"), 40, seamless, fps=33) as lab:
                handover.settle(1)
                lab.announce(True)
                handover.settle(1)
                stop, resumed = lab.move()
                handover.settle(3)
                gap = handover.gap_at(lab.client, resumed - stop, resumed + 120)
                kind = "draw" if peer == "segue-view" else "primary"
                anew[peer].append(other_sizes(lab.client.drain(), kind))
                lost[peer] += lab.lost()
                return gap - stop
        got = in_turns(runs, measure)
        way = "seamless" if seamless else "semi-seamless"
        report(f"blackout beyond the stop, {way}, 40 ms round trip", *got.values(), "ms", 0)
        print(f"| other sizes shown, {way}; sessions lost | {anew['segue-view']}; "
              f"{lost['segue-view']} | {anew['spice-gtk']}; {lost['spice-gtk']} | | {runs} | |",
              flush=True)


# --- Start and size -------------------------------------------------------------------------------

def first_frame(runs):
    """From the start of the process: ours to its first frame, spicy-screenshot to its end."""
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        for library in ("segue", "stock"):
            with Machine(Path(folder) / library, library=library, tcp=True) as vm:
                time.sleep(2)

                def measure(peer, port=vm.port):
                    began = time.monotonic()
                    if peer == "spice-gtk":
                        subprocess.run(["spicy-screenshot", "-h", "127.0.0.1", "-p", str(port),
                                        "-o", f"{folder}/shot.ppm"], check=True, timeout=30,
                                       capture_output=True)
                        return (time.monotonic() - began) * 1000
                    shutil.rmtree(f"{folder}/view", ignore_errors=True)
                    with Viewer(f"{folder}/view", f"spice://127.0.0.1:{port}") as view:
                        return view.wait("frame")["t_us"] / 1000 - began * 1000
                got = in_turns(runs, measure)
                report(f"start to first picture, {library}'s server", *got.values(), "ms")


def memory(runs):
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        disk = guest.boot_disk(Path(folder) / "disk.img", fps=20)
        with Machine(Path(folder) / "vm", *disk, library="stock", tcp=True) as vm:
            vm.wait_frame(5)
            resident = {peer: [] for peer in PEERS}

            def measure(peer):
                with Session(peer, vm.port) as session:
                    wait(lambda: len(vm.channels()) == 4, "channels")
                    time.sleep(2)
                    own, whole = session.memory_kib()
                    resident[peer].append(whole / 1024)
                    return own / 1024
            got = in_turns(runs, measure)
            report("memory of its own, 2 s into a session", *got.values(), "MiB")
            report("memory with shared libraries", *resident.values(), "MiB")


def size(_runs):
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        for program in sorted(VIEWER.parent.glob("segue-view*")):
            if program.suffix:
                continue
            subprocess.run(["strip", "-o", f"{folder}/{program.name}", program], check=True)
            amount = os.path.getsize(f"{folder}/{program.name}") / (1 << 20)
            print(f"| {program.name}, stripped | {amount:.1f} MiB | | | 1 | |", flush=True)


CASES = {"open": open_channels, "decode": decode, "pong": pong, "move": move, "first": first_frame,
         "memory": memory, "size": size}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    words = parser.parse_args()
    print("| Case | segue-view | spice-gtk | Ratio | n | Load |\n|---|---|---|---|---|---|")
    for name in words.cases or CASES:
        CASES[name](words.runs)


if __name__ == "__main__":
    main()
