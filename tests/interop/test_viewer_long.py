# SPDX-License-Identifier: LGPL-2.1-or-later
"""A long session of mixed load on stock QEMU and stock spice-server: the machine moves to and fro
in every manner, the line breaks now and then, and the user works on.

SEGUE_LONG_SECONDS (7,200) is how long; what happens is printed, a line a move (pytest -s).
"""
import itertools
import os
import time

import guest
import pytest
import viewer
from hosts import wait_until
from viewer_cells import Line

SECONDS = int(os.environ.get("SEGUE_LONG_SECONDS", "7200"))
PORT = "org.segue.echo"
# What becomes of the session, again and again.
ROUND = ("seamless", "seamless", "semi-seamless", "seamless", "cut", "seamless", "seamless",
         "switch-host", "seamless")
BETWEEN = min(60, SECONDS / (2 * len(ROUND)))  # seconds: every turn comes twice at least
# What a viewer may hold beyond the most of its first quarter: what it keeps until then, it keeps.
MORE_MEMORY_KIB = 4096
KEYS = range(2, 50)  # plain ones: scan codes and Linux's numbers are the same


def machine():
    """Draws, sounds, repeats what the agent's line and a port hear, and tells its keys."""
    return ["-vga", "qxl", "-device", "virtio-serial-pci",
            "-chardev", "spicevmc,id=agent,name=vdagent",
            "-device", "virtserialport,chardev=agent,name=com.redhat.spice.0",
            "-chardev", f"spiceport,id=port,name={PORT}",
            "-device", f"virtserialport,chardev=port,name={PORT}",
            "-audiodev", "spice,id=sound", "-machine", "pcspk-audiodev=sound",
            *guest.linux("echo", "load=paint:640x480:5", "load=beep:440", "load=keys",
                         "load=dirty:8:1", tick=1000)]


def line(number):
    return f"line {number:07}\n"


class View(viewer.Viewer):
    """Reads each event once: a long session has more of them than can be looked at again and
    again. Frames are counted; what a port says is compared with what it was told."""

    def __init__(self, *words, **more):
        super().__init__(*words, **more)
        self.offset, self.kept = 0, []
        self.frames, self.sizes = 0, set()
        self.sent = self.heard = 0  # lines
        self.rest = ""              # of a line that has not come whole

    @property
    def events(self):
        self.read_more()
        return self.kept

    def read_more(self):
        if not self.events_file.exists():
            return
        with open(self.events_file, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for text in whole.decode().split("\n")[:-1]:
            self.take(viewer.json.loads(text))

    def take(self, event):
        if event["event"] == "frame":
            self.frames += 1
            self.sizes.add((event["width"], event["height"]))
        elif event["event"] == "port-data":
            *whole, self.rest = (self.rest + event["text"]).split("\n")
            for text in whole:
                wanted = line(self.heard)
                assert text + "\n" == wanted, f"the port said {text!r}, not {wanted!r}"
                self.heard += 1
        else:
            if event["event"] == "clipboard" and self.named_now("clipboard"):
                self.named_now("clipboard")[-1].pop("text", None)
            self.kept.append(event)

    def named_now(self, name):
        return [event for event in self.kept if event["event"] == name]

    def count(self, name, **fields):
        return sum(fields.items() <= event.items() for event in self.named(name))

    def memory_kib(self):
        status = (viewer.Path("/proc") / str(self.process.pid) / "status").read_text()
        return next(int(row.split()[1]) for row in status.split("\n") if row.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def seconds_of_processor(self):
        stat = (viewer.Path("/proc") / str(self.process.pid) / "stat").read_text()
        return sum(map(int, stat.rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class Leg:
    """A QEMU that has the machine for a while, and the line between it and the viewer."""

    def __init__(self, directory, number, seamless, incoming):
        self.vm = viewer.spice_qemu(directory / str(number), *machine(), incoming=incoming,
                                    spice="" if seamless else ",seamless-migration=off")
        self.vm.__enter__()
        self.seamless, self.line = seamless, None
        self.port = viewer.free_port()
        self.pressed = []

    def open_line(self):
        self.line = Line(self.vm.port, 0, self.port)

    def close(self):
        self.vm.stop()
        if self.line:
            self.line.__exit__()

    def keys(self):
        return guest.Ticks(self.vm.ticks.path, "key").all()

    def hears(self):
        """Whether its guest's ends are open: stock's server drops what is said before."""
        ends = {one["label"]: one["frontend-open"] for one in self.vm.qmp("query-chardev")}
        return ends["agent"] and ends["port"]


class Session:
    """The user at work, and the machine that moves under his hands."""

    def __init__(self, directory):
        self.directory = directory
        self.legs = itertools.count(1)
        self.here = Leg(directory, 0, True, False)
        self.here.open_line()
        self.view = None
        self.codes = itertools.cycle(KEYS)
        self.turns = itertools.count()
        self.copied, self.pasted = None, 0
        self.moves = {manner: 0 for manner in ROUND}
        self.blackouts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.view:
            self.view.stop()
        self.here.close()

    def begin(self):
        ready = guest.Ticks(self.here.vm.ticks.path, "frame")
        ready.wait(2, timeout=240)
        wait_until(lambda: b"keys ready" in ready.text(), 60, "the guest has its keyboard")
        wait_until(self.here.hears, 60, "the guest opens its ports")
        self.view = View(self.directory / "view", f"spice://127.0.0.1:{self.here.port}",
                         "--commands").__enter__()
        self.view.wait("connected")
        self.wait_for_devices(1)

    def wait_for_devices(self, count):
        """Until agent and port are there, count-th."""
        wait_until(lambda: self.view.count("agent", ready=True) == count, 60,
                   lambda: f"agent {count}: {self.view.named('agent')}")
        wait_until(lambda: self.view.count("port", open=True) >= count, 60,
                   lambda: f"port {count}: {self.view.named('port')}")

    # --- The user

    def say(self, lines):
        view = self.view
        view.tell("port", name=PORT,
                  text="".join(line(number) for number in range(view.sent, view.sent + lines)))
        view.sent += lines

    def press(self):
        code = next(self.codes)
        for down in (True, False):
            self.view.tell("key", code=code, down=down)
        self.here.pressed.append(code)

    def copy(self):
        """More than the tokens of a server carry at once; asked back at once."""
        if self.copied is not None and not self.came_back():
            return
        self.copied = f"copied {next(self.turns):05} " * 1500
        self.view.tell("clipboard", text=self.copied)
        self.view.tell("paste")

    def came_back(self):
        texts = [event.get("text") for event in self.view.named("clipboard")]
        if self.copied in texts:
            self.copied, self.pasted = None, self.pasted + 1
            return True
        return self.copied is None

    def work(self, seconds):
        end = time.monotonic() + seconds
        for turn in itertools.count():
            self.say(4)
            if turn % 2 == 0:
                self.press()
            if turn % 10 == 0:
                self.copy()
            self.view.read_more()
            assert self.view.process.poll() is None, self.view.log()
            if time.monotonic() > end:
                return
            time.sleep(min(1, seconds / 4))

    def rest(self, keys_only=False):
        """Until all that was said, copied and typed has arrived."""
        here, view = self.here, self.view
        wait_until(lambda: here.keys() == here.pressed, 60,
                   lambda: f"typed {here.pressed}, heard {here.keys()}")
        if keys_only:
            return
        wait_until(lambda: view.events is not None and view.heard == view.sent, 60,
                   lambda: f"{view.heard} of {view.sent} lines came back")
        assert view.rest == ""
        wait_until(self.came_back, 60, "the clipboard comes back")

    # --- The machine

    def carry(self, source, target):
        """Moves it. What is said when it stands still goes with it as state, or not at all."""
        self.say(3)
        self.copy()
        self.rest(keys_only=True)
        source.qmp("migrate-set-parameters", max_bandwidth=1 << 30)
        source.qmp("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": True}])
        path = target.directory / "migrate.sock"
        target.qmp("migrate-incoming", uri=f"unix:{path}")
        source.qmp("migrate", uri=f"unix:{path}")
        state = lambda: source.qmp("query-migrate")["status"]
        wait_until(lambda: state() == "pre-switchover", 60, state)
        return state

    def move(self, manner, seamless):
        """`seamless`: whether the server it goes to moves its viewers on so."""
        here, view = self.here, self.view
        there = Leg(self.directory, next(self.legs), seamless, True)
        try:
            done, begun = len(view.named("migrate-done")), len(view.named("target-connected"))
            agents = view.count("agent", ready=True)
            if manner != "seamless":
                self.rest()
            if manner != "switch-host":
                there.open_line()
            here.vm.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                        port=there.port)
            if manner == "switch-host":
                view.wait("error", len(view.named("error")) + 1)
            else:
                view.wait("target-connected", begun + 1)
            state = self.carry(here.vm, there.vm) if manner == "seamless" else None
            if state:
                self.say(3)
                time.sleep(0.2)  # until it has left the viewer: nothing tells
                here.vm.qmp("migrate-continue", state="pre-switchover")
                wait_until(lambda: state() == "completed", 60, state)
            else:
                viewer.migrate(here.vm, there.vm)
            if manner == "switch-host":
                there.open_line()
            view.wait("migrate-done", done + 1)
            assert view.named("migrate-done")[-1]["manner"] == manner
            here.vm.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            wait_until(there.hears, 60, "the guest's ports are open there")
            self.wait_for_devices(agents + (manner != "seamless"))
        finally:
            self.here = there
            here.close()
        self.blackouts += [event["blackout_us"] // 1000
                           for event in view.named("first-target-frame")[len(self.blackouts):]]

    def cut(self):
        """The line breaks: the one thing behind which a viewer may begin anew."""
        self.rest()
        view = self.view
        known = len(view.named("connected"))
        agents = view.count("agent", ready=True)
        self.here.line.tell("cut")
        view.wait("disconnected", known)
        view.wait("connected", known + 1)
        self.wait_for_devices(agents + 1)

    def turn(self, number):
        manner = ROUND[number % len(ROUND)]
        if manner == "cut":
            self.cut()
        else:
            following = next(ROUND[(number + more) % len(ROUND)] for more in (1, 2)
                             if ROUND[(number + more) % len(ROUND)] != "cut")
            self.move(manner, following != "semi-seamless")
        self.moves[manner] += 1
        return manner


@pytest.mark.soak
def test_a_long_session(tmp_path):
    with Session(tmp_path) as session:
        session.begin()
        view, begun, held = session.view, time.monotonic(), []
        session.work(5)
        view.read_more()
        for number in itertools.count():
            passed = time.monotonic() - begun
            if passed > SECONDS and number % len(ROUND) == 0:
                break
            sounds = len(view.named("sound"))
            manner = session.turn(number)
            session.work(BETWEEN)
            view.wait("sound", sounds + 1)
            held.append((passed, view.memory_kib(), view.descriptors()))
            print(f"{passed:7.0f} s: {manner}; {held[-1][1]} KiB, {held[-1][2]} descriptors, "
                  f"{view.seconds_of_processor():.1f} s of processor; {view.heard} lines, "
                  f"{session.pasted} clipboards, {view.frames} frames; last blackout "
                  f"{session.blackouts[-1]} ms", flush=True)
        session.rest()
        check(session, held)
        assert view.shows(session.here.vm, rests=False)
        assert view.stop() == 0
        print(f"moves: {session.moves}; blackouts: {sorted(session.blackouts)} ms", flush=True)


def check(session, held):
    view = session.view
    anew = session.moves["cut"]
    assert view.count("connected") == anew + 1
    assert view.count("disconnected") == anew
    assert len(view.sizes) == 1, f"pictures of other sizes were shown: {view.sizes}"
    assert not view.count("error", fatal=True)
    # A seamless move is one that agent and port do not notice.
    others = anew + session.moves["semi-seamless"] + session.moves["switch-host"]
    assert view.count("agent", ready=True) == others + 1
    assert all(event["peak"] > 1000 for event in view.named("sound"))
    known = [one for one in held if one[0] < held[-1][0] / 4] or held[:1]
    for at, most, what in ((1, max(one[1] for one in known) + MORE_MEMORY_KIB, "KiB"),
                           (2, max(one[2] for one in known), "descriptors")):
        assert held[-1][at] <= most, f"{held[-1][at]} {what}, at most {most} were expected: {held}"
