# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket of our library: what `segued` hears about clients."""
import json
import socket
import time

import guest
import pytest

from spice_lab import Client, Machine, environment, migrate


class Control:
    def __init__(self, path):
        end = time.monotonic() + 5
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(15)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                assert time.monotonic() < end, "the library does not listen"
                time.sleep(0.05)
        self.file = self.socket.makefile("rb")

    def wait(self, event):
        while True:
            line = json.loads(self.file.readline())
            if line.get("event") == event:
                return line

    def status(self):
        self.socket.sendall(b'{"cmd":"status"}\n')
        while True:
            line = json.loads(self.file.readline())
            if "clients" in line:
                return line


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
            client.wait("mark")
            client.wait("channel-event", kind="CursorChannel", what="opened")
            source.wait("client-connected")
            status = source.status()
            assert status["migration"] == "idle"
            assert sorted(c["type"] for c in status["clients"][0]["channels"]) == [
                "cursor", "display", "inputs"]
            assert status["displays"][0]["images"] > 0
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
            assert target.status()["clients"][0]["parked"] is False


@pytest.mark.quick
def test_nothing_listens_unasked(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as machine:
        machine.qmp("query-status")
        assert not list(tmp_path.glob("*.control"))
