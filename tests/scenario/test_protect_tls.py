# SPDX-License-Identifier: LGPL-2.1-or-later
"""A protection between two hosts that share nothing but a cable: agent and standby over TLS, the
gate at the standby; and peers that are none of it."""
import ctypes
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

import standby as sb
from agent import UdpOutside
from certificates import make_certificates
from hosts import Host, end_process, free_port, qemus_below, remove_shared_memory, wait_until
from protected import ProtectedMachine
from test_standby_limits import HELLO, VERSION
from test_two_networks import Place

CLONE_NEWNET = 0x40000000


def within(place, make):
    """What a function makes in the network of a place: a socket stays there."""
    made = []

    def run():
        space = os.open(f"/proc/{place.holder.pid}/ns/net", os.O_RDONLY)
        try:
            assert ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET) == 0
            made.append(make())
        finally:
            os.close(space)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return made[0]


class SafeHost(Host):
    """A segued in a network of its own that is asked over TLS alone."""

    def __init__(self, name, folder, place, address, certificates):
        super().__init__(name, folder, 1, config=f'[tls]\ndirectory = "{certificates}"\n')
        self.far, self.tls_port = address, free_port()
        words = self.arguments
        for option in ("--migrate-address", "--listen"):
            at = len(words) - 1 - words[::-1].index(option)  # the last --listen is TCP's
            del words[at:at + 2]
        self.arguments = [*place.enter, *words, "--migrate-address", address, "--listen",
                          f"tls:{address}:{self.tls_port}"]

    @property
    def uri(self):
        return f"qemu+tls://{self.far}:{self.tls_port}/system"


class SafeHosts:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="segue-safe-"))
        self.folder.chmod(0o755)
        names = {"hosta": "10.99.0.1", "hostb": "10.99.0.2"}
        self.certificates = make_certificates(self.folder / "pki", *names, *names.values())
        self.places = [Place(self.folder, names), Place(self.folder, names)]
        one, two = self.places
        one.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable",
                "netns", str(two.holder.pid))
        for place, address in zip(self.places, names.values()):
            place.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                place.run("ip", "link", "set", device, "up")
        self.hosts = [SafeHost(name, self.folder, place, address, self.certificates)
                      for place, (name, address) in zip(self.places, names.items())]

    def __enter__(self):
        for host in self.hosts:
            host.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(*(f"--- log of {host.name}\n{host.log()[-6000:]}" for host in self.hosts))
        for host in self.hosts:
            host.kill()
        for pid, _ in qemus_below(self.folder):
            end_process(pid)
        for place in self.places:
            place.close()
        for host in self.hosts:
            remove_shared_memory(host.state)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(name="safe")
def safe_hosts():
    with SafeHosts() as safe:
        yield safe


def agent_door(host):
    """Where the host's segue-standby listens, its process, and its log."""
    pid, line = next((pid, line) for pid, line in host.qemus()
                     if line.split()[0].endswith("segue-standby"))
    words = line.split()
    address, port = words[words.index("--agent") + 1].removeprefix("tcp:").rsplit(":", 1)
    log = Path(words[words.index("--state") + 1]).parent / "log"
    return (address, int(port)), pid, log


def knock(place, door, certificates):
    """A TLS connection to it, or the error; version 1.3 tells what the server thinks of us only
    when we read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificates:
        context.load_cert_chain(certificates / "client-cert.pem", certificates / "client-key.pem")
    raw = within(place, lambda: socket.create_connection(door, 60))
    return context.wrap_socket(raw)


def refused(place, door, certificates):
    try:
        with knock(place, door, certificates) as link:
            return link.recv(1) == b""
    except TimeoutError:
        return False
    except (OSError, ssl.SSLError):
        return True


def wrong_key(place, door, certificates):
    with knock(place, door, certificates) as link:
        link.sendall(struct.pack(">III", 24, HELLO, VERSION) + bytes(16))
        return link.recv(1000)


@pytest.mark.full
def test_a_protection_over_tls_outlives_its_host_and_who_knocks(tmp_path, safe):
    one, two = safe.hosts
    outside = within(safe.places[1], UdpOutside)
    with ProtectedMachine(tmp_path, outside=outside) as machine:
        one.virsh("create", machine.path)
        machine.records.wait(5, sb.PATIENCE)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        machine.outside.wait(machine.outside.last() + 20)
        door, process, log = agent_door(two)
        assert door[0] == "10.99.0.2"
        # Others: without a certificate, and with one of another authority.
        others = make_certificates(tmp_path / "others", "10.99.0.1")
        before = len(list(Path(f"/proc/{process}/fd").iterdir()))
        for certificates in (None, others):
            assert refused(safe.places[0], door, certificates)
        # And one of ours that is not the agent which is linked, for ever.
        links = []
        for _ in range(60):
            try:
                links.append(knock(safe.places[0], door, safe.certificates))
            except (OSError, ssl.SSLError):
                pass  # more than are told why are only closed
            assert len(list(Path(f"/proc/{process}/fd").iterdir())) <= before + 20
        for link in links:
            link.close()
        said = log.read_text()
        assert said.count("refused") <= 10, said[-3000:]
        assert said.count("\n") < 60, said[-3000:]
        assert machine.status(one)["state"] == "protected"
        machine.wait_epochs(one, 3)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
def test_a_lonely_standby_refuses_with_a_clear_line(tmp_path, safe):
    """Before its agent has come, each newcomer may be it."""
    door = ("10.99.0.2", 21999)
    state = tmp_path / "s"
    state.mkdir()
    log = state / "log"
    with open(log, "wb") as out:
        standby = subprocess.Popen(
            [*safe.places[1].enter, str(sb.PROGRAM), "--agent", "tcp:10.99.0.2:21999", "--state",
             str(state / "standby"), "--tls", str(safe.certificates)],
            env=dict(os.environ, SEGUE_AGENT_KEY="00112233445566778899aabbccddeeff"),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(lambda: "listening" in log.read_text(), 60, "it listens")
        others = make_certificates(tmp_path / "others", "10.99.0.1")
        assert refused(safe.places[0], door, others)
        wait_until(lambda: "ertificate" in log.read_text(), 30, log.read_text)
        for _ in range(60):
            assert b"wrong key" in wrong_key(safe.places[0], door, safe.certificates)
            assert len(list(Path(f"/proc/{standby.pid}/fd").iterdir())) < 60
        said = log.read_text()
        assert 0 < said.count("wrong key") <= 8, said[-3000:]
    finally:
        standby.kill()
        standby.wait()
        remove_shared_memory(state)
