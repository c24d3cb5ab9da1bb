# SPDX-License-Identifier: LGPL-2.1-or-later
"""The screen's part of a migration between two segued: who is waited for, and what goes along."""
import json
import re
import signal

import pytest

from hosts import Hosts, end_process, free_port, wait_until
from machines import Machine

from handover_cells import VIEWERS
from line import Line
from spice_lab import CHANNELS, Client
from test_spice_control import Control
from viewer import Viewer

# A viewer on a busy host is waited for, however long it takes to be linked.
PATIENT = "[migration]\nscreen_wait_ms = 60000\n"


def screen_of(host, name):
    """The URI of a domain's screen."""
    return host.virsh("domdisplay", name).strip()


def steps(host):
    """{phase or mark} that the log's last timeline shows."""
    log = host.log()
    return set(re.findall(r"\b(screen-[a-z-]+|clients-[a-z]+|viewer-linked)\b",
                          log[log.rindex("migration of "):]))


@pytest.mark.full
def test_a_viewer_follows_and_its_state_goes_beside_it(tmp_path):
    with Hosts(2, config=PATIENT) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        with Client(screen_of(one, "s")) as client:
            client.linked()
            one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
            client.wait("migration", timeout=60, state="none")
            machine.ticks.wait(machine.ticks.last() + 20)
            # What the target says of the last of it may come behind the end of the timeline.
            wait_until(lambda: "screen-state-last" in steps(one), 60, "the state is told")
            wait_until(lambda: "the last of the screen's state was taken" in two.log(), 60,
                       "the state is taken")
            shown = steps(one)
            assert {"clients-linked", "screen-state", "screen-state-taken"} <= shown, shown
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
            assert machine.ticks.gaps() == []
            wait_until(lambda: not one.qemus(), 60, "the source's QEMU ends when all have gone")
            # And back, to a library that has just served it.
            two.virsh("migrate", "--live", "--unsafe", "s", one.uri)
            client.wait("migration", timeout=60, state="none")
            machine.ticks.wait(machine.ticks.last() + 20)
            assert client.count("disconnected") == 0
            assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_ticket_that_was_changed_goes_along(tmp_path):
    """Past the definition, over the monitor, as operators do it; with the rest of its validity."""
    with Hosts(2) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, password="first", tick_ms=20)
        one.virsh("create", machine.path)
        for command in ("set_password", "expire_password"):
            words = {"password": "second"} if command == "set_password" else {"time": "+3600"}
            assert '"error"' not in one.virsh("qemu-monitor-command", "s", json.dumps(
                {"execute": command, "arguments": {"protocol": "spice", **words}}))
        with Viewer(tmp_path / "follows", screen_of(one, "s"),
                    environment={"SEGUE_VIEW_PASSWORD": "second"}) as viewer:
            viewer.wait("connected", timeout=60)
            machine.ticks.wait(3)
            one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
            viewer.wait("migrate-done", timeout=60)
        for name, ticket, event in (("new", "second", "connected"), ("old", "first", "error")):
            with Viewer(tmp_path / name, screen_of(two, "s"),
                        environment={"SEGUE_VIEW_PASSWORD": ticket}) as viewer:
                viewer.wait(event, timeout=60)
        xml = two.virsh("dumpxml", "--security-info", "s")
        assert re.search(r"passwd='second' passwdValidTo='[\d-]{10}T[\d:]{8}'", xml)
        two.virsh("qemu-monitor-command", "s", "--hmp", "set_password", "spice", "third")
        assert "passwd='third'" in two.virsh("dumpxml", "--security-info", "s")
        # What QEMU refuses changes nothing.
        assert "rror" in two.virsh("qemu-monitor-command", "s", "--hmp", "set_password", "vnc",
                                   "other", code=None)
        assert "passwd='third'" in two.virsh("dumpxml", "--security-info", "s")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_ticket_is_renewed_as_libvirt_does_it(tmp_path):
    """virsh update-device: live and stored, carried along; whatever else differs is refused."""
    with Hosts(2) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, password="first", tick_ms=20)
        one.virsh("define", machine.path)
        one.virsh("start", "s")

        def update(*flags, code=0, **changes):
            xml = one.virsh("dumpxml", "--security-info", "s")
            screen = re.search("<graphics .*?</graphics>", xml, re.S)[0]
            for key, value in changes.items():
                screen = re.sub(f" {key}='[^']*'", "", screen)
                if value is not None:
                    screen = screen.replace("<graphics ", f"<graphics {key}='{value}' ", 1)
            (tmp_path / "screen.xml").write_text(screen)
            return one.virsh("update-device", "s", tmp_path / "screen.xml", *flags, code=code)

        def enters(host, ticket, expected):
            with Viewer(tmp_path / f"{host.name}-{ticket}-{expected}", screen_of(host, "s"),
                        environment={"SEGUE_VIEW_PASSWORD": ticket}) as viewer:
                viewer.wait(expected, timeout=60)

        assert "updated successfully" in update(passwd="second")
        enters(one, "second", "connected")
        enters(one, "first", "error")
        assert "passwd='first'" in one.virsh("dumpxml", "--inactive", "--security-info", "s")
        update("--config", passwd="later")
        assert "passwd='second'" in one.virsh("dumpxml", "--security-info", "s")
        assert "passwd='later'" in one.virsh("dumpxml", "--inactive", "--security-info", "s")
        # An order that QEMU or we refuse changes nothing.
        for changes in ({"keymap": "de"}, {"autoport": "no"}, {"type": "vnc"}):
            said = update(code=1, passwd="never", **changes)
            assert "cannot " in said, said
        (tmp_path / "disk.xml").write_text("<disk type='file' device='disk'><target dev='hda'/>"
                                           "</disk>")
        assert "live update of device 'disk' is not supported" in one.virsh(
            "update-device", "s", tmp_path / "disk.xml", code=1)
        assert "passwd='second'" in one.virsh("dumpxml", "--security-info", "s")

        update("--live", passwdValidTo="2100-01-01T00:00:00")
        one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
        enters(two, "second", "connected")
        enters(two, "first", "error")
        xml = two.virsh("dumpxml", "--security-info", "s")
        assert "passwd='second' passwdValidTo='2100-01-01T00:00:00'" in xml
        # A ticket that is over, and none: nobody comes in, and the way back carries that too.
        one, two = two, one
        update(passwdValidTo="2001-01-01T00:00:00")
        enters(one, "second", "error")
        update(passwd=None, passwdValidTo=None)
        enters(one, "second", "error")
        one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
        enters(two, "second", "error")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.full
@pytest.mark.parametrize("stock", [0, 1], ids=["from stock", "to stock"])
def test_a_stock_library_on_one_side(tmp_path, stock):
    """The channels are counted at the target, or the state goes through the client."""
    with Hosts(2, config=PATIENT) as hosts:
        one, two = hosts
        hosts[stock].stop()
        hosts[stock].arguments += ["--spice-lib", "stock"]
        hosts[stock].start()
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        with Client(screen_of(one, "s")) as client:
            client.linked()
            one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
            client.wait("migration", timeout=60, state="none")
            machine.ticks.wait(machine.ticks.last() + 20)
            shown = steps(one)
            assert "screen-state-last-taken" not in shown
            assert ("clients-linked" in shown) == (stock == 1), shown
            assert "viewer-linked" in shown
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
            assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_viewer_that_cannot_link_delays_nothing_for_long(tmp_path):
    """It answers at once that it cannot: the wait ends there, not at its bound."""
    with Hosts(2, config="[migration]\nscreen_wait_ms = 600000\n") as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        with Client(screen_of(one, "s")) as client:
            client.linked()
            client.process.kill()
            client.process.wait(60)
            # It has gone on the way: nobody is left to be waited for.
            one.virsh("migrate", "--live", "--unsafe", "s", two.uri, timeout=120)
            machine.ticks.wait(machine.ticks.last() + 20)
            assert machine.ticks.gaps() == []


@pytest.mark.full
def test_the_source_dies_behind_the_machine(tmp_path):
    """Host and daemon, before they could tell the viewer: that looks for the source, and goes to
    the target by itself when nobody is there any more."""
    with Hosts(2) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20, dirty_mb_s=8)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        # The speed of a move is a thing of the domain: for long enough.
        one.virsh("migrate-setspeed", "s", "1")
        screen = screen_of(one, "s")
        with Line(screen.rsplit(":", 1)[1], host=one.address) as line, \
                Viewer(tmp_path / "view", f"spice://127.0.0.1:{line.port}") as view:
            view.wait("connected", timeout=60)
            view.wait("frame", timeout=60)
            move = one.virsh_process("migrate", "--live", "--unsafe", "s", two.uri)
            try:
                view.wait("target-connected", timeout=60)
                wait_until(lambda: re.search(r"Memory processed:\s+[1-9]",
                                             one.virsh("domjobinfo", "s", code=None)),
                           60, "memory is being copied")
                line.tell("drop")
                one.virsh("migrate-setspeed", "s", "0")
                wait_until(lambda: two.state_of("s") == "running", 60, "the machine has moved")
                one.stop(signal.SIGKILL)
                for pid, _ in one.qemus():
                    end_process(pid)
                line.tell("cut")
                back = view.wait("connected", 2, timeout=60)
            finally:
                move.kill()
                move.wait(60)
            assert back["host"] == screen_of(two, "s")[len("spice://"):]
            frames = len(view.named("frame"))
            view.wait("frame", frames + 1, timeout=60)
            machine.ticks.wait(machine.ticks.last() + 20)
            assert [event["retrying"] for event in view.named("disconnected")] == [True]
            assert machine.ticks.gaps() == []


@pytest.mark.full
def test_back_at_once_to_a_port_of_its_own(tmp_path):
    """The QEMU that the viewer leaves still has the port that the machine wants when it comes back:
    it is waited for, and so is the viewer."""
    with Hosts(2, config=PATIENT + "source_keep_ms = 60000\n") as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20)
        fixed = machine.xml.replace("autoport='yes'", f"port='{free_port(one.address)}'")
        assert fixed != machine.xml
        machine.path.write_text(fixed)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        port = screen_of(one, "s").rsplit(":", 1)[1]
        with Client(screen_of(one, "s")) as client:
            client.linked()
            one.virsh("migrate", "--live", "--unsafe", "s", two.uri)
            two.virsh("migrate", "--live", "--unsafe", "s", one.uri, timeout=120)
            assert one.state_of("s") == "running"
            assert screen_of(one, "s").rsplit(":", 1)[1] == port
            machine.ticks.wait(machine.ticks.last() + 20)
            assert machine.ticks.gaps() == []
            assert client.count("disconnected") == 0
            wait_until(lambda: len(one.qemus()) == 1 and not two.qemus(), 90, "one QEMU is left")
            assert client.count("disconnected") == 0


def channels_of(host, name):
    said = json.loads(host.virsh("qemu-monitor-command", name, '{"execute": "query-spice"}'))
    return sorted((channel["channel-type"], channel["channel-id"])
                  for channel in said["return"].get("channels", []))


class CopyingMove:
    """A domain that nobody watches, on its way from host to host: its memory is being copied until
    `finish`; a context manager."""

    def __init__(self, one, two):
        self.one, self.two = one, two

    def __enter__(self):
        self.one.virsh("migrate-setspeed", "s", "1")
        self.process = self.one.virsh_process("migrate", "--live", "--unsafe", "s", self.two.uri)
        wait_until(lambda: re.search(r"Memory processed:\s+[1-9]",
                                     self.one.virsh("domjobinfo", "s", code=None)),
                   60, "memory is being copied")
        return self

    def finish(self):
        self.one.virsh("migrate-setspeed", "s", "0")
        assert self.process.wait(120) == 0
        assert self.two.state_of("s") == "running"

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(60)


@pytest.mark.full
@pytest.mark.parametrize("when", ["linked", "linking"])
@pytest.mark.parametrize("client", ["segue-view", "spice-gtk"])
def test_a_viewer_that_comes_while_memory_is_copied(tmp_path, client, when):
    """Over a long line; `linking`: the machine goes before the viewer can have heard where to."""
    with Hosts(2, config=PATIENT) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20, dirty_mb_s=8)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        with CopyingMove(one, two) as move, \
                Line(screen_of(one, "s").rsplit(":", 1)[1], 200, host=one.address) as line, \
                VIEWERS[client](tmp_path, f"127.0.0.1:{line.port}", "seamless", None) as viewer:
            viewer.wait_connected()
            if when == "linked":
                library = Control(next(one.state.rglob("screen.sock")))
                wait_until(lambda: any(told["linked_to_target"]
                                       for told in library.status()["clients"]),
                           60, "the viewer is linked there")
            move.finish()
            machine.ticks.wait(machine.ticks.last() + 20)
            wait_until(lambda: not one.qemus(), 60, "the source's QEMU ends when it has gone")
            wait_until(lambda: channels_of(two, "s") == CHANNELS, 60, "it is where its machine is")
            assert viewer.sessions_lost() == 0, viewer.story()
            assert viewer.manner() in (None, "seamless"), viewer.story()
            if when == "linked":
                assert "screen-state-last" in steps(one)
            assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_viewer_that_stands_still_keeps_its_session(tmp_path):
    """The command ends at once; the source's QEMU stays for it, longer than 10 s."""
    with Hosts(2, config=PATIENT) as (one, two):
        machine = Machine(tmp_path, name="s", spice=True, tick_ms=20, dirty_mb_s=8)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        address = screen_of(one, "s")[len("spice://"):]
        with VIEWERS["spice-gtk"](tmp_path, address, "seamless", None) as viewer:
            viewer.wait_connected()
            with CopyingMove(one, two) as move:
                viewer.client.process.send_signal(signal.SIGSTOP)
                try:
                    move.finish()
                    machine.ticks.wait(machine.ticks.last() + 1000, timeout=300)  # 20 s
                    assert one.qemus()
                finally:
                    viewer.client.process.send_signal(signal.SIGCONT)
            wait_until(lambda: not one.qemus(), 60, "the source's QEMU ends when it has gone")
            wait_until(lambda: channels_of(two, "s") == CHANNELS, 60, "it is where its machine is")
            assert viewer.sessions_lost() == 0, viewer.story()
            assert viewer.manner() is None, viewer.story()
            assert machine.ticks.gaps() == []
