# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways in which a session can move, as cells of a table: `segue-view` and stock's spice-gtk through
the same move, on stock QEMU and stock spice-server.

  python3 tests/interop/viewer_cells.py [CELL …] > table.md    both viewers, every cell, as a table
"""
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / part)
                    for part in ("interop", "scenario", "guest")]

import guest
import spice_lab
import viewer
from hosts import BIN, read_line

MASKS = {
    "seamless": {},
    "semi-seamless": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"},
    "switch-host": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0",
                    "SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE": "0"},
}


@dataclass(frozen=True)
class Cell:
    """One move. `manner` is what both sides are capable of; a machine that outruns its viewer may
    be followed by switch-host."""
    name: str
    manner: str = "seamless"
    load: str = "box"
    trip_ms: int = 0            # round trip between the viewer and each server
    slow: bool = False          # the machine's memory takes seconds
    waits: bool = True          # for the viewer's links, as an orchestrator should
    tls: bool = False           # the viewer demands it, the servers would do without
    devices: bool = False       # sound and USB channels, too
    options: tuple = ()
    trouble: str = ""           # see Move.announce
    sure: bool = field(default=False, compare=False)  # a representative of its row in ./test


def table():
    """The rows of 4.2 to 4.4 of the facts about stock's client."""
    found = []
    for load in ("box", "text", "repaint"):
        for manner in MASKS:
            found.append(Cell(f"{load}, {manner}", manner, load, sure=(load, manner) in (
                ("text", "seamless"), ("repaint", "semi-seamless"), ("box", "switch-host"))))
    for manner in ("seamless", "semi-seamless"):
        found.append(Cell(f"TLS, {manner}", manner, tls=True, sure=manner == "semi-seamless"))
        found.append(Cell(f"7 channels, {manner}", manner, devices=True, sure=manner == "seamless"))
        found.append(Cell(f"read-only, {manner}", manner, options=("--read-only",)))
    for trip in (40, 200):
        for manner in MASKS:
            for slow in (False, True):
                speed = "slow" if slow else "fast"
                found.append(Cell(f"{trip} ms, {manner}, {speed} machine", manner, trip_ms=trip,
                                  slow=slow, sure=(trip, manner, slow) == (40, "seamless", False)))
        found.append(Cell(f"{trip} ms, the machine outruns its viewer", trip_ms=trip, waits=False,
                          sure=trip == 200))
    for trouble in ("port opens late", "wrong subject first", "another password first",
                    "announced twice", "moved twice", "cancelled first", "late channel"):
        found.append(Cell(trouble, trouble=trouble, tls=trouble == "wrong subject first",
                          devices=trouble == "late channel", sure=True))
    return found


class Line:
    """segue-line before a port, so many ms each way."""

    def __init__(self, target, delay_ms=0, port=0):
        self.process = subprocess.Popen(
            [BIN / "segue-line", f"tcp:127.0.0.1:{port}",
             f"tcp:127.0.0.1:{target}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(json.loads(read_line(self.process.stdout))["listening"].rsplit(":", 1)[1])
        self.tell(f"delay {delay_ms}")

    def tell(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        read_line(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Host:
    """A QEMU with its port or ports, as the viewer reaches them."""

    def __init__(self, stack, cell, directory, name, arguments, pki, incoming):
        self.name = name
        password = "right" if cell.trouble == "another password first" else None
        options = ""
        if cell.tls:
            self.inner_tls = viewer.free_port()
            options += f",tls-port={self.inner_tls},x509-dir={pki}/host-{name}"
        self.vm = stack.enter_context(viewer.spice_qemu(
            directory / name, *arguments, spice=options, incoming=incoming, password=password))
        delay = cell.trip_ms // 2
        self.port = self.tls_port = None
        if delay:
            self.port = stack.enter_context(Line(self.vm.port, delay)).port
            if cell.tls:
                self.tls_port = stack.enter_context(Line(self.inner_tls, delay)).port
        else:
            self.port, self.tls_port = self.vm.port, getattr(self, "inner_tls", None)


class OurViewer:
    """`segue-view --headless` in a cell."""
    name = "segue-view"

    def __init__(self, stack, directory, cell, uri, options, environment):
        self.view = stack.enter_context(viewer.Viewer(directory / "view", uri, "--commands",
                                                      *options, environment=environment))

    def wait_open(self):
        self.view.wait("connected", timeout=60)
        self.view.wait("frame", 3, timeout=60)

    def wait_linked(self, count=1):
        self.view.wait("target-connected", count, timeout=60)

    def wait_moved(self, count=1):
        """By what the picture was carried, count-th."""
        self.view.wait("first-target-frame", count, timeout=90)
        return self.view.wait("migrate-done", count, timeout=90)["manner"]

    def wait_frames(self, more):
        self.view.wait("frame", len(self.view.named("frame")) + more, timeout=60)

    def is_alive(self):
        return self.view.process.poll() is None

    def outcome(self):
        frames = self.view.named("frame")
        return {"lost": not self.is_alive() or bool(self.view.named("disconnected")),
                "sizes": len({(f["width"], f["height"]) for f in frames}),
                "blackout_ms": max((event["blackout_us"] // 1000 for event
                                    in self.view.named("first-target-frame")), default=None),
                "secure": [event["secure"] for event in self.view.named("migrate-done")]}

    def same_picture(self, vm):
        return self.view.shows(vm, rests=False) and self.view.stop() == 0


class Move:
    """A machine on one host, another that waits, and what is between."""

    def __init__(self, cell, directory, stack):
        self.cell, self.directory, self.stack = cell, Path(directory), stack
        self.pki = None
        if cell.tls:
            self.pki = viewer.make_certificates(self.directory / "pki", "host-a", "host-b",
                                                "host-c")
        machine = self.machine()
        self.hosts = [Host(stack, cell, self.directory, name, machine, self.pki, name != "a")
                      for name in ("abc" if cell.trouble in ("announced twice", "moved twice",
                                                             "cancelled first") else "ab")]

    def machine(self):
        screen = ["-vga", "qxl"]
        if self.cell.devices:
            screen += ["-audiodev", "spice,id=sound", "-device", "intel-hda", "-device",
                       "hda-duplex,audiodev=sound", "-device", "qemu-xhci", "-device",
                       "virtio-serial-pci", "-chardev", "spicevmc,id=usb,name=usbredir", "-device",
                       "usb-redir,chardev=usb"]
        if self.cell.load == "text":
            return screen
        if self.cell.load == "repaint":
            return screen + guest.linux("load=paint:800x600:50")
        return screen + guest.boot_disk(self.directory / "disk.img", fps=20)

    def uri(self):
        first = self.hosts[0]
        ports = f"?port={first.port}" + (f"&tls-port={first.tls_port}" if self.cell.tls else "")
        return f"spice://127.0.0.1{ports}"

    def viewer_options(self):
        options = list(self.cell.options)
        if self.cell.tls:
            options += ["--spice-secure-channels=all", f"--spice-ca-file={self.pki}/ca-cert.pem",
                        "--spice-host-subject=O=Segue test,CN=host-a"]
        return options

    def announce(self, source, target, **more):
        known = {"tls_port": target.tls_port,
                 "cert_subject": f"O=Segue test,CN=host-{target.name}"} if self.cell.tls else {}
        source.vm.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                      **{"port": target.port, **known, **more})

    def wait_painting(self):
        if self.cell.load == "repaint":
            guest.Ticks(self.hosts[0].vm.ticks.path, "frame").wait(1, timeout=120)
        elif self.cell.load == "box":
            self.hosts[0].vm.wait_frame(3, timeout=60)

    def begin(self, source, target):
        source.vm.qmp("migrate-set-parameters",
                      **{"max-bandwidth": 8 << 20 if self.cell.slow else 1 << 30})
        path = target.vm.directory / "migrate.sock"
        target.vm.qmp("migrate-incoming", uri=f"unix:{path}")
        source.vm.qmp("migrate", uri=f"unix:{path}")

    def move(self, source, target):
        self.begin(source, target)
        viewer.wait_migrated(source.vm, 90)


# --- Troubles ------------------------------------------------------------------------------------

def port_opens_late(move, view):
    """Nobody listens where the viewer is sent, until the machine has been there for a while."""
    source, target = move.hosts
    port = viewer.free_port()
    move.announce(source, target, port=port)
    move.move(source, target)
    time.sleep(1)
    move.stack.enter_context(Line(target.vm.port, 0, port))


def wrong_subject_first(move, view):
    source, target = move.hosts
    move.announce(source, target, cert_subject="O=Segue test,CN=somebody")
    view.view.wait("error", timeout=60)
    assert not target.vm.qmp("query-spice").get("channels")
    move.announce(source, target)
    view.wait_linked()
    move.move(source, target)


def another_password_first(move, view):
    source, target = move.hosts
    target.vm.qmp("set_password", protocol="spice", password="other")
    move.announce(source, target)
    view.view.wait("error", timeout=60)
    target.vm.qmp("set_password", protocol="spice", password="right")
    move.announce(source, target)
    view.wait_linked()
    move.move(source, target)


def announced_twice(move, view):
    """A second move is begun while the first is still being prepared."""
    source, other, target = move.hosts
    move.announce(source, other)
    view.wait_linked()
    move.announce(source, target)
    view.wait_linked(2)
    move.move(source, target)
    move.hosts = [source, target]


def moved_twice(move, view):
    """The second move is announced right behind the first, whatever the viewer is at."""
    source, middle, target = move.hosts
    move.announce(source, middle)
    view.wait_linked()
    move.move(source, middle)
    move.announce(middle, target)
    view.wait_moved(1)
    move.announce(middle, target)
    view.wait_linked(2)
    move.move(middle, target)
    view.wait_moved(2)
    move.hosts = [source, target]


def cancelled_first(move, view):
    """Cancelled behind the links; the next move goes elsewhere."""
    source, other, target = move.hosts
    move.announce(source, other)
    view.wait_linked()
    viewer.begin_and_cancel(source.vm, other.vm)
    done = view.view.wait("migrate-done", timeout=60)
    assert done["manner"] == "cancelled" and done["host"] == f"127.0.0.1:{source.port}"
    move.announce(source, target)
    view.wait_linked(2)
    move.move(source, target)
    view.view.wait("migrate-done", 2, timeout=60)
    move.hosts = [source, target]


def late_channel(move, view):
    """A port is plugged into the machine while the viewer waits at the target."""
    source, target = move.hosts
    move.announce(source, target)
    view.wait_linked()
    for host in (target, source):
        backend = {"type": "spiceport", "data": {"fqdn": "org.segue.late"}}
        host.vm.qmp("chardev-add", id="late", backend=backend)
        host.vm.qmp("device_add", driver="virtserialport", chardev="late", id="port", name="late")
    view.view.wait("port", timeout=60)
    move.move(source, target)


TROUBLES = {"port opens late": port_opens_late, "wrong subject first": wrong_subject_first,
            "another password first": another_password_first, "announced twice": announced_twice,
            "moved twice": moved_twice, "cancelled first": cancelled_first,
            "late channel": late_channel}


def plain_move(move, view):
    source, target = move.hosts
    move.announce(source, target)
    if move.cell.waits and move.cell.manner != "switch-host":
        view.wait_linked()
        # The source does not say when it has heard of that.
        time.sleep(move.cell.trip_ms / 250)
    move.move(source, target)


def run_cell(cell, directory):
    """Moves `segue-view`; returns (manner, outcome, whether the pictures are equal, channels)."""
    with ExitStack() as stack:
        move = Move(cell, directory, stack)
        move.wait_painting()
        options = move.viewer_options()
        environment = {**MASKS[cell.manner], "SEGUE_VIEW_PASSWORD": "right"}
        view = OurViewer(stack, Path(directory), cell, move.uri(), options, environment)
        view.wait_open()
        TROUBLES.get(cell.trouble, plain_move)(move, view)
        moves = {"moved twice": 2}.get(cell.trouble, 1)
        if cell.trouble != "cancelled first":
            view.wait_moved(moves)
        manner = view.view.named("switch")[-1]["manner"]
        if cell.load != "text":
            view.wait_frames(5)
        target = move.hosts[-1].vm
        channels = target.qmp("query-spice")["channels"]
        outcome = view.outcome()
        return manner, outcome, view.same_picture(target), channels


def run_stock(cell, directory):
    """The same with spice-gtk: how often its window was made anew, and what became of it."""
    with ExitStack() as stack:
        move = Move(cell, directory, stack)
        move.wait_painting()
        words = [move.uri()]
        if cell.tls:
            words += ["--ca", f"{move.pki}/ca-cert.pem"]
        if "--read-only" in cell.options:
            words.append("--read-only")
        if cell.trouble == "another password first":
            words += ["--password", "right"]
        client = stack.enter_context(spice_lab.Client(*words, environment=MASKS[cell.manner]))
        client.wait("mark", 60)
        source, target = move.hosts[0], move.hosts[-1]
        move.announce(source, target)
        time.sleep(1.5 if cell.waits else 0)
        move.move(source, target)
        time.sleep(4)
        client.drain()
        made = sum(event["event"] == "primary" for event in client.events) - 1
        lost = any(event["event"] == "disconnected" for event in client.events)
        return {"lost": lost, "made": made}


def main():
    wanted = sys.argv[1:]
    print("| Move | segue-view: by | blackout ms | spice-gtk: session | windows made anew |")
    print("|---|---|---|---|---|")
    for cell in table():
        if wanted and cell.name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
            manner, outcome, same, _ = run_cell(cell, Path(ours))
            assert same and not outcome["lost"], (cell, outcome)
            stock = "–", "–"
            if not cell.trouble:
                seen = run_stock(cell, Path(theirs))
                stock = ("lost" if seen["lost"] else "kept"), seen["made"]
            words = [cell.name, manner, outcome["blackout_ms"], *stock]
            print("| " + " | ".join(map(str, words)) + " |", flush=True)


if __name__ == "__main__":
    main()
