# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket of our library: what `segued` hears about clients."""
import json
import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import guest
import pytest

import spice_tap
from hosts import wait_until
from spice_lab import CHANNELS, Client, Machine, environment, same_picture
from spice_raw import DISPLAY, Channel


class Control:
    def __init__(self, path):
        end = time.monotonic() + 60
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                assert time.monotonic() < end, "the library does not listen"
                time.sleep(0.05)
        self.file = self.socket.makefile("rb")

    def line(self, wanted=None):
        """The next line; what a state that is not wanted brings is passed over."""
        line = json.loads(self.file.readline())
        if line.get("event") == "state" != wanted:
            self.file.read(line["bytes"])
        return line

    def wait(self, event):
        while True:
            line = self.line(event)
            if line.get("event") == event:
                return line

    def tell(self, **command):
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def state(self, final):
        """What the library tells of its clients, as bytes."""
        line = self.wait("state")
        assert line["final"] is final
        return self.file.read(line["bytes"])

    def give(self, state, final):
        """Has the library take such a state."""
        line = {"cmd": "take-state", "final": final, "bytes": len(state)}
        self.socket.sendall(json.dumps(line).encode() + b"\n" + state)
        assert self.wait("state-taken")["final"] is final

    def status(self):
        self.tell(cmd="status")
        while True:
            line = self.line()
            if "clients" in line:
                return line


def channel_of(status, kind):
    return next(c for c in status["clients"][0]["channels"] if c["type"] == kind)


def machine_with_control(directory, name, *arguments):
    machine = Machine(directory / name, *arguments, options="seamless-migration=on", tcp=True)
    machine.environment = {**environment("segue"),
                           "SEGUE_SPICE_CONTROL": str(directory / f"{name}.control")}
    return machine


@pytest.mark.quick
def test_a_move_is_told_step_by_step(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img")
    first = machine_with_control(tmp_path, "source", *disk)
    second = machine_with_control(tmp_path, "target", *disk, "-incoming",
                                  f"unix:{tmp_path}/migrate.sock")
    with first, second:
        source, target = Control(tmp_path / "source.control"), Control(tmp_path / "target.control")
        first.wait_frame(2)
        with Client(first.uri) as client:
            client.linked()
            client.wait("draw")
            source.wait("client-connected")
            status = source.status()
            assert status["migration"] == "idle"
            assert sorted(c["type"] for c in status["clients"][0]["channels"]) == [
                "cursor", "display", "inputs"]
            assert status["displays"][0]["images"] > 0
            shown = channel_of(status, "display")
            assert shown["bytes_sent"] > shown["pictures"]["encoded_bytes"] > 0
            assert shown["messages_sent"] > shown["pictures"]["images"] > 0
            assert shown["pictures"]["compression"] == "auto_glz"
            assert sum(shown["pictures"]["forms"].values()) == shown["pictures"]["images"]
            assert shown["pictures"]["encode_us"] > 0
            assert status["clients"][0]["main"]["bytes_sent"] > 0
            assert channel_of(status, "inputs")["bytes_received"] > 0
            assert status["flooded_away"] == 0
            assert set(status["unlinked"].values()) == {0}
            with Channel(first, linked=False) as stranger:
                stranger.socket.sendall(bytes(16))
                assert stranger.is_closed()
            with Channel(first, DISPLAY, connection_id=1) as stranger:
                assert stranger.result == 8  # bad connection id
            assert source.status()["unlinked"] == {
                "timed_out": 0, "refused_tickets": 0, "refused_channels": 1,
                "protocol_errors": 1, "output_overflows": 0}
            first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                      port=second.port)
            assert source.wait("clients-linked") == {"event": "clients-linked", "linked": 1,
                                                     "failed": 0}
            assert source.status()["clients"][0]["linked_to_target"] is True
            target.wait("client-connected")
            assert target.status()["clients"][0]["parked"] is True
            first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
            source.wait("clients-left")
            client.wait("migration", state="none")
            # Its last word to the target may still be on the way.
            wait_until(lambda: not target.status()["clients"][0]["parked"], 60, "it has come")


def is_all_read(port):
    """No TCP socket to or from this port has bytes that wait in the kernel."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = {int(end.split(":")[1], 16) for end in fields[1:3]}
        # A socket that listens counts connections there.
        if port in ports and fields[3] != "0A" and fields[4] != "00000000:00000000":
            return False
    return True


@pytest.mark.full
def test_bytes_are_those_that_spicy_stats_counts(tmp_path):
    with machine_with_control(tmp_path, "one", *guest.boot_disk(tmp_path / "disk.img")) as machine:
        control = Control(tmp_path / "one.control")
        machine.wait_frame(2)
        with subprocess.Popen(["spicy-stats", "--uri", machine.uri], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            try:
                control.wait("client-connected")
                told = []
                end = time.monotonic() + 60
                while len(told) < 3 or not any(one.get("pictures", {}).get("images")
                                               for one in told):
                    assert time.monotonic() < end, told
                    told = control.status()["clients"][0]["channels"]
                machine.qmp("stop")
                before = None
                while before != told or not is_all_read(machine.port):
                    assert time.monotonic() < end, told
                    time.sleep(0.5)
                    before, told = told, control.status()["clients"][0]["channels"]
                client.send_signal(signal.SIGINT)
                said = client.communicate(timeout=60)[0]
            finally:
                client.kill()
    counted = dict(re.findall(r"^(\w+): (\d+)$", said, re.MULTILINE))
    # A ping may have come to main meanwhile.
    assert int(counted.pop("main")) > 0
    assert {kind: int(count) for kind, count in counted.items()} == {
        one["type"]: one["bytes_sent"] for one in told}


class Move:
    """A machine on its way between two of our libraries, taps on both screens, a stock client."""

    def __init__(self, directory, **numbers):
        disk = guest.boot_disk(directory / "disk.img", **numbers)
        self.directory = directory
        self.first = machine_with_control(directory, "source", *disk)
        self.second = machine_with_control(directory, "target", *disk, "-incoming",
                                           f"unix:{directory}/migrate.sock")

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(self.first)
            stack.enter_context(self.second)
            self.source = Control(self.directory / "source.control")
            self.target = Control(self.directory / "target.control")
            self.before = stack.enter_context(spice_tap.Tap(self.first.port))
            self.after = stack.enter_context(spice_tap.Tap(self.second.port))
            self.first.wait_frame(2)
            self.client = stack.enter_context(Client(f"spice://127.0.0.1:{self.before.port}"))
            self.client.linked()
            self.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                           port=self.after.port)
            assert self.source.wait("clients-linked")["linked"] == 1
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def run(self):
        self.first.qmp("migrate", uri=f"unix:{self.directory}/migrate.sock")

    def arrives_whole(self):
        self.source.wait("clients-left")
        self.client.wait("migration", state="none")
        self.second.wait_frame(self.second.wait_frame(1) + 3)
        self.second.qmp("stop")
        assert same_picture(self.second, self.client, self.directory)
        assert self.client.count("disconnected") == 0
        assert self.client.count("primary") == 1, "its window was made once"
        self.second.wait_channels(CHANNELS)


@pytest.mark.full
def test_state_goes_beside_the_client(tmp_path):
    """Then a stock client is only told to switch its display: half a round trip. The library waits
    100 ms for it once the machine has gone, which here does not go before."""
    with Move(tmp_path) as move:
        move.source.tell(cmd="carry-state")
        move.target.give(move.source.state(final=False), final=False)
        move.first.qmp("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": True}])
        move.run()
        move.target.give(move.source.state(final=True), final=True)
        move.source.tell(cmd="state-taken")
        move.source.status()  # an answer: it has read that
        wait_until(lambda: move.first.qmp("query-migrate")["status"] == "pre-switchover", 60,
                   "the machine is about to go")
        move.first.qmp("migrate-continue", state="pre-switchover")
        move.arrives_whole()
        assert move.before.flags(spice_tap.DISPLAY) == 0
        assert move.before.of(spice_tap.DISPLAY, spice_tap.MIGRATE_DATA) == []
        assert move.before.flags(spice_tap.MAIN) == move.before.flags(spice_tap.INPUTS) == 3
        # The surface that the client has is not made anew.
        assert move.after.of(spice_tap.DISPLAY, spice_tap.SURFACE_CREATE) == []


@pytest.mark.full
@pytest.mark.parametrize("lost", ["answer", "state", "difference"])
def test_state_that_is_late_goes_through_the_client(tmp_path, lost):
    """Whatever the daemons do not manage in 100 ms: no flush mark is asked for, no session lost."""
    with Move(tmp_path) as move:
        move.source.tell(cmd="carry-state")
        first = move.source.state(final=False)
        if lost != "state":
            move.target.give(first, final=False)
        move.run()
        last = move.source.state(final=True)
        if lost == "answer":
            move.target.give(last, final=True)
        move.arrives_whole()
        assert move.before.flags(spice_tap.DISPLAY) == 2
        assert len(move.before.of(spice_tap.DISPLAY, spice_tap.MIGRATE_DATA)) == 1


@pytest.mark.full
def test_a_move_that_fails_thaws_the_screen(tmp_path):
    """What was frozen at the stop of the machine is sent again when it runs on."""
    with Move(tmp_path, dirty_mb_s=40) as move:
        move.first.qmp("migrate-set-parameters", max_bandwidth=1 << 20)
        move.source.tell(cmd="carry-state")
        move.source.state(final=False)
        move.run()
        move.first.qmp("migrate_cancel")
        move.first.wait_frame(move.first.wait_frame(1) + 5)
        move.first.qmp("stop")
        assert same_picture(move.first, move.client, tmp_path)
        assert move.client.count("disconnected") == 0


@pytest.mark.quick
def test_a_bad_state_is_refused_and_kept_out(tmp_path):
    with machine_with_control(tmp_path, "one", *guest.boot_disk(tmp_path / "disk.img")) as machine:
        control = Control(tmp_path / "one.control")
        for state in (b"", b"rubbish", b"SGHO" + bytes(30), bytes(100000)):
            control.tell(cmd="take-state", final=True, bytes=len(state))
            control.socket.sendall(state)
            assert "error" in json.loads(control.file.readline())
        assert control.status()["migration"] == "idle"
        control.tell(cmd="take-state", final=True, bytes=1 << 30)
        assert "error" in json.loads(control.file.readline())
        machine.wait_frame(2)


@pytest.mark.quick
def test_nothing_listens_unasked(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as machine:
        machine.qmp("query-status")
        assert not list(tmp_path.glob("*.control"))
