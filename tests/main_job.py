#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does Segue's main job, for real: moves a running VM to another host and back, with its screen.

  ./run             builds, makes two hosts on loopback addresses, starts a VM that paints its
                    screen and counts, attaches a SPICE viewer, migrates there and back, prints both
                    timelines, checks that no tick was lost, and writes pictures under out/
  ./run --keep      leaves the two hosts up, and prints the virsh and segue commands to try
  ./run --help      this text

Exit 0 when the VM arrived twice, its count has no gap, and the viewer kept its session.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("SEGUE_OUT", ROOT / "out"))
BUILT = os.environ.get("SEGUE_BIN")  # programs that are there already: nothing is built
VIEWER = Path(BUILT or ROOT / "build" / "release" / "bin") / "segue-view"


def say(text=""):
    print(text, flush=True)


class Viewer:
    """A real SPICE viewer without a screen: segue-view, or spice-gtk's library."""

    def __init__(self, uri, events, stock):
        self.events_path, self.shot = events, OUT / "viewer.png"
        events.write_text("")
        if stock:
            self.name = "a stock viewer (spice-gtk)"
            command = ["/usr/bin/python3", str(ROOT / "tests/scenario/stock_viewer.py"), uri,
                       "--events", str(events), "--screenshot", str(self.shot)]
        else:
            self.name = "segue-view --headless"
            command = [str(VIEWER), "--headless", uri, "--events", str(events),
                       "--screenshot", str(self.shot)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def events(self):
        lines = self.events_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def has(self, name):
        return any(event["event"] == name for event in self.events())

    def alive(self):
        return self.process.poll() is None and not self.has("disconnected")

    def blackout_ms(self, start_us, end_us):
        """The longest time without a new frame that touches this stretch of the clock."""
        frames = [event["t_us"] for event in self.events() if event["event"] == "frame"]
        gaps = [b - a for a, b in zip(frames, frames[1:]) if b >= start_us and a <= end_us]
        return max(gaps, default=0) / 1000

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def timeline_of(host, name):
    """The finished migration's timeline as this host knows it."""
    import libsegue_rpc  # tests/scenario: the extension program, in a few lines of Python
    return libsegue_rpc.query(host.socket, "timeline", {"domain": name, "form": "json"})


def print_timeline(title, source, destination, blackout):
    say(f"\n{title}")
    start = min(source["wall_ms"], destination["wall_ms"])
    rows = []
    for part in (source, destination):
        shift = (part["wall_ms"] - start) * 1000
        for phase in part["phases"]:
            begin = phase["start_us"] + shift
            rows.append((begin, phase.get("end_us", phase["start_us"]) + shift, phase["name"],
                         phase["where"]))
    whole = max(row[1] for row in rows) or 1
    for begin, end, name, where in sorted(rows):
        left = int(40 * begin / whole)
        width = max(1, int(40 * (end - begin) / whole))
        say(f"  {name:<18} {where:<12} {begin / 1000:8.1f} ms {(end - begin) / 1000:8.1f} ms  "
            f"|{' ' * left}{'#' * width}")
    numbers = source["numbers"]
    say(f"  QEMU total {numbers.get('qemu_total_ms', '?')} ms, downtime "
        f"{numbers.get('qemu_downtime_ms', '?')} ms, viewer's longest gap {blackout:.0f} ms, "
        f"{numbers.get('viewer_channels_linked', 0)} of {numbers.get('viewer_channels', 0)} "
        "viewer channels linked before the move")


def move(name, source, destination, viewer):
    """One migration with the unmodified virsh; its wall time and the viewer's blackout in ms."""
    start_us = time.monotonic_ns() // 1000
    source.virsh("migrate", "--live", "--unsafe", "--persistent", "--undefinesource", name,
                 destination.uri)
    end_us = time.monotonic_ns() // 1000
    time.sleep(1.0)  # frames after the move belong to the picture
    return (end_us - start_us) / 1000, viewer.blackout_ms(start_us, end_us + 500_000)


def picture(host, name, target):
    """The guest's screen, as QEMU shows it, as a PNG."""
    raw = target.with_suffix(".ppm")
    host.virsh("screenshot", name, raw)
    subprocess.run(["convert", str(raw), str(target)], check=True)
    raw.unlink()


def draw(host, name, target):
    import libsegue_rpc
    svg = libsegue_rpc.query(host.socket, "timeline", {"domain": name, "form": "svg"})["svg"]
    target.write_text(svg)
    subprocess.run(["rsvg-convert", "-o", str(target.with_suffix(".png")), str(target)],
                   check=True)


def demonstrate(hosts, machine):
    one, two = hosts
    one.virsh("define", machine.path)
    one.virsh("start", machine.name)
    machine.ticks.wait(10)
    say(f"VM '{machine.name}' runs on {one.name}; it counts ticks and paints its screen")
    uri = one.virsh("domdisplay", machine.name).strip()
    viewer = Viewer(uri, OUT / "viewer.jsonl", stock=not VIEWER.exists())
    try:
        wait_until(lambda: viewer.has("frame"), 60, f"{viewer.name} shows a first frame")
        say(f"{viewer.name} is attached to {uri}")
        time.sleep(1.0)
        picture(one, machine.name, OUT / "screen-before.png")
        for number, (source, destination) in enumerate(((one, two), (two, one)), 1):
            wall, blackout = move(machine.name, source, destination, viewer)
            print_timeline(f"migration {number}: {source.name} -> {destination.name}, "
                           f"virsh took {wall:.0f} ms",
                           timeline_of(source, machine.name),
                           timeline_of(destination, machine.name), blackout)
            draw(source, machine.name, OUT / f"timeline-{number}.svg")
            assert viewer.alive(), f"the viewer lost its session: {viewer.events()[-5:]}"
            assert destination.state_of(machine.name) == "running"
            machine.ticks.wait(machine.ticks.last() + 10)
        picture(one, machine.name, OUT / "screen-after.png")
    finally:
        viewer.stop()
    ticks, gaps = machine.ticks.all(), machine.ticks.gaps()
    assert not gaps, f"ticks were lost or repeated: {gaps[:5]}"
    say(f"\nThe guest counted {ticks[0]} to {ticks[-1]} without a gap; the viewer kept its "
        "session.")
    say("out/: " + ", ".join(sorted(path.name for path in OUT.iterdir())))


def hints(hosts, machine):
    one, two = hosts
    segue = ROOT / "build" / "release" / "bin" / "segue"
    say(f"""
Two hosts are up (Ctrl-C ends them); the VM '{machine.name}' runs on {one.name}. Try:

  virsh -c '{one.local_uri}' list --all
  remote-viewer $(virsh -c '{one.local_uri}' domdisplay {machine.name}) &
  {segue} -c '{one.local_uri}' migrate --check --unsafe {machine.name} {two.uri}
  virsh -c '{one.local_uri}' migrate --live --unsafe --verbose {machine.name} {two.uri}
  {segue} -c '{two.local_uri}' list
  {segue} -c '{two.local_uri}' status {machine.name}
  {segue} -c '{two.local_uri}' doctor
  tail -f {one.log_path} {two.log_path}
""")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while all(host.process.poll() is None for host in hosts):
            time.sleep(1)
    except KeyboardInterrupt:
        say()


def main():
    arguments = sys.argv[1:]
    if any(word not in ("--keep", "--help", "-h") for word in arguments):
        say(__doc__)
        return 2
    if "--help" in arguments or "-h" in arguments:
        say(__doc__)
        return 0
    if not BUILT and subprocess.run([str(ROOT / "setup"), "--programs"],
                                    check=False).returncode != 0:
        return 1
    OUT.mkdir(exist_ok=True)
    for path in OUT.iterdir():
        path.unlink()
    with Hosts(2) as hosts:
        machine = Machine(hosts[0].folder.parent / "vm", name="demo", memory=64, spice=True,
                          tick_ms=20, dirty_mb_s=8, fps=25)
        say(f"two hosts: {hosts[0].name} at {hosts[0].address}, {hosts[1].name} at "
            f"{hosts[1].address}")
        demonstrate(hosts, machine)
        if "--keep" in arguments:
            hints(hosts, machine)
    return 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests/scenario"), str(ROOT / "tests/guest")]
    if not {"--help", "-h"} & set(sys.argv[1:]):
        from hosts import Hosts, wait_until  # noqa: E402
        from machines import Machine  # noqa: E402
    sys.exit(main())
