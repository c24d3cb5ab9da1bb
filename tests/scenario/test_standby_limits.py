# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-standby and segue-agent against what lies, is slow, or says nothing; no QEMU takes part."""
import os
import socket
import re
import struct
import subprocess
import threading
import time

import agent as ag
import guest
import pytest
import standby as sb
from hosts import shared_memory, wait_until

CORPUS = sb.ROOT / "tests" / "corpus" / "stream"
HELLO, WELCOME, STREAM, WRITE, WORD = 1, 2, 3, 5, 9
VERSION = int(re.search(r"^limit version = (\d+)$",
                        (sb.ROOT / "src/protect/agent_link.schema").read_text(), re.M)[1])


def head_that_claims(size):
    """The head of a migration stream (QEMU 7.2) with one RAM block of this size."""
    return (b"QEVM" + struct.pack(">I", 3) + b"\x07" + struct.pack(">I", 7) + b"microvm" +
            b"\x08\x00\x08\x00\x00" + b"\x01" + struct.pack(">I", 2) + b"\x03ram" +
            struct.pack(">IIQ", 0, 4, size | 4) + b"\x06pc.ram" +
            struct.pack(">QQ", size, 0x10))


@pytest.mark.full
def test_a_stream_that_claims_too_much_memory_takes_none(tmp_path):
    with sb.Standby(tmp_path / "s") as standby:
        with socket.socket(socket.AF_UNIX) as primary:
            primary.settimeout(sb.PATIENCE)
            primary.connect(str(tmp_path / "s" / "colo.sock"))
            primary.sendall(head_that_claims(8 << 40))
            said = standby.wait("error")["message"]
            assert "8388624 MiB" in said and "the limit is" in said and "smaller guest" in said
            assert primary.recv(1) == b""
        held = sum(path.stat().st_blocks * 512 for path in shared_memory(standby.state).iterdir())
        assert held < 64 << 20
        assert standby.control(cmd="status")["state"] == "none"


class TcpRelay:
    """Passes one connection on, and no datagram: a way that only TCP takes."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        here, _ = self.listener.accept()
        there = socket.create_connection(("127.0.0.1", self.target))
        threading.Thread(target=self.pump, args=(there, here), daemon=True).start()
        self.pump(here, there)

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.full
def test_an_agent_without_a_way_for_heartbeats_is_never_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_AGENT_KEY", ag.KEY)
    standby = sb.Standby(tmp_path / "s")
    standby.argv[1:3] = ["--agent", "tcp:127.0.0.1:0"]
    with standby:
        port = int(standby.control(cmd="status")["listen"].rsplit(":", 1)[1])
        relay = TcpRelay(port)
        agent = ag.Agent(tmp_path, f"tcp:127.0.0.1:{relay.port}", os.getpid())
        with open(tmp_path / "agent.log", "ab") as log:
            agent.process = subprocess.Popen(agent.argv, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log)
        try:
            states = set()

            def is_lost(said):
                states.add(said["state"])
                return said["state"] == "lost"
            said = agent.wait(is_lost)
            assert "no heartbeat" in said["reason"] and "UDP" in said["reason"]
            # Nothing was promised before.
            assert states <= {"linking", "lost"}
            # The standby heard that it is over, and would take the next one.
            wait_until(lambda: not standby.control(cmd="status")["linked"], 60, "the link is over")
            assert standby.control(cmd="status")["promotion"] == "no"
        finally:
            agent.__exit__()
            relay.listener.close()


def frame(kind, body=b""):
    return struct.pack(">Ii", len(body) + 4, kind) + body


class Link:
    """An agent's connection, by hand."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(sb.PATIENCE)
        self.socket.connect(str(path))
        self.send(HELLO, struct.pack(">I", VERSION) + bytes.fromhex(ag.KEY))
        assert self.read()[0] == WELCOME

    def send(self, kind, body=b""):
        self.socket.sendall(frame(kind, body))

    def read(self):
        length, kind = struct.unpack(">Ii", self.exactly(8))
        return kind, self.exactly(length - 4)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, "the standby closed the link"
            data += part
        return data


@pytest.mark.full
def test_a_copied_image_that_is_synced_holds_nothing_up(tmp_path, monkeypatch):
    shim = guest.cached("held_sync.so", [sb.ROOT / "tests/scenario/held_sync.c"],
                        lambda target: subprocess.run(
                            ["gcc", "-O2", "-shared", "-fPIC", "-o", target,
                             sb.ROOT / "tests/scenario/held_sync.c", "-ldl"], check=True))
    image, held = tmp_path / "copy.img", tmp_path / "sync"
    image.write_bytes(bytes(1 << 20))
    monkeypatch.setenv("SEGUE_AGENT_KEY", ag.KEY)
    monkeypatch.setenv("HELD_SYNC", str(held))
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    standby = sb.Standby(tmp_path / "s", disk=f"agent={image}")
    standby.argv[1] = "--agent"
    with standby:
        monkeypatch.delenv("LD_PRELOAD")
        link = Link(tmp_path / "s" / "colo.sock")
        link.send(WRITE, struct.pack(">IQ", 0, 4096) + b"copied" * 100)
        link.send(STREAM, (CORPUS / "microvm-first.bin").read_bytes())
        wait_until(lambda: held.with_suffix(".waits").exists(), sb.PATIENCE, "a sync has begun")
        # Its disk does not answer, and it does: no heartbeat of its work is missed.
        for _ in range(10):
            said = standby.control(cmd="status")
            assert said["step"] == "committing-first" and said["state"] == "syncing"
            time.sleep(0.05)
        held.with_suffix(".go").touch()
        kind, word = link.read()
        assert (kind, struct.unpack(">I", word)[0]) == (WORD, sb.READY)
        assert standby.control(cmd="status")["state"] == "protected"
        assert image.read_bytes()[4096:4102] == b"copied"
        link.socket.close()
