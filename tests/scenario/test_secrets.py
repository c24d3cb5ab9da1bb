# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a ticket must not be seen, and what a local user finds on the disk (docs/threats.md)."""
import json
import os
import socket
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from hosts import Hosts
from machines import Machine

pytestmark = pytest.mark.full

TICKET = "Zu9Paragraph8"


def everything_below(folder):
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            yield Path(where, name)


def holds_the_ticket(path):
    try:
        return path.is_file() and TICKET.encode() in path.read_bytes()
    except FileNotFoundError:
        return False  # removed between two looks


def test_a_ticket_is_seen_by_nobody_who_need_not(tmp_path):
    """On both hosts of a migration: command lines, environments, logs, report, JSON, XML."""
    machine = Machine(tmp_path, spice=True, password=TICKET)
    with Hosts(2) as (one, two):
        one.virsh("define", machine.path)
        one.virsh("start", "g")
        machine.ticks.wait(1)
        look(one)
        one.virsh("migrate", "--live", "--unsafe", "--persistent", "g", two.uri)
        machine.ticks.wait(machine.ticks.last() + 1)
        look(two)
        # It went along, and who may have it gets it.
        assert TICKET in two.virsh("dumpxml", "--security-info", "g")
        assert TICKET in two.segue("dumpxml", "--security-info", "g")
        for host in (one, two):
            assert TICKET not in host.log()


def look(host):
    (pid, line), = host.guests()
    assert TICKET not in line
    assert TICKET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert TICKET not in host.virsh("dumpxml", "g")
    assert TICKET not in host.virsh("dumpxml", "--inactive", "g")
    assert TICKET not in host.virsh("domdisplay", "g")
    as_json = ["--output", "json"]
    for words in (["report"], [*as_json, "status", "g"], [*as_json, "info", "g"], ["dumpxml", "g"],
                  [*as_json, "list", "--all"], [*as_json, "display", "g"], ["status"]):
        assert TICKET not in host.segue(*words), words
    json.loads(host.segue("report"))


def test_nothing_of_a_host_is_open_to_other_users(tmp_path):
    machine = Machine(tmp_path, spice=True, password=TICKET)
    with Hosts(1) as (host,):
        host.virsh("define", machine.path)
        host.virsh("start", "g")
        machine.ticks.wait(1)
        domain, = filter(Path.is_dir, (host.state / "domains").iterdir())
        assert stat.S_IMODE(domain.stat().st_mode) == 0o700
        assert stat.S_IMODE(host.socket.stat().st_mode) == 0o660
        assert stat.S_IMODE((host.state / "segue.db").stat().st_mode) == 0o600
        holders = [path for path in everything_below(host.state) if holds_the_ticket(path)]
        assert holders, "the definition is kept somewhere"
        for path in [*holders, *everything_below(domain)]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        # A local user sees that a VM runs, and cannot look inside.
        seen = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "ls", domain],
                              capture_output=True, text=True, check=False)
        if os.geteuid() == 0:
            assert "Permission denied" in seen.stderr


def test_the_peer_door_opens_for_nobody_who_has_no_key(tmp_path):
    """Strangers on the migration network: garbage, wrong frames, too many, and an unknown id."""
    machine = Machine(tmp_path)
    with Hosts(1) as (host,):
        host.virsh("create", machine.path)
        port = int((host.state / "peer-port").read_text())
        door = (host.address, port)
        hello = struct.pack(">iI", 1, 1) + os.urandom(16) + os.urandom(16)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, struct.pack(">I", 3) + b"abc",
                     struct.pack(">I", 1 << 30), struct.pack(">I", 4) + struct.pack(">i", 99),
                     struct.pack(">I", len(hello)) + hello):
            with socket.create_connection(door, 60) as stranger:
                stranger.sendall(data)
                answer = b""
                try:
                    while part := stranger.recv(4096):
                        answer += part
                except ConnectionError:
                    pass
            assert len(answer) < 64, answer
        crowd = []
        for _ in range(300):
            crowd.append(socket.create_connection(door, 60))
        assert host.virsh("hostname").strip() == host.name
        for one in crowd:
            one.close()
        assert host.state_of("g") == "running"
        machine.ticks.wait(machine.ticks.last() + 1)
