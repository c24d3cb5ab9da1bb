# SPDX-License-Identifier: LGPL-2.1-or-later
"""The wire alone: our RPC server and client against libvirt's library, virsh, go-libvirt, a stock
libvirtd and the Wireshark dissector. No virtual machine runs here."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import libvirt
import pytest

from stock_libvirtd import StockHost

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("SEGUE_BIN", ROOT / "build" / "release" / "bin"))
GO_LIBVIRT = Path("/usr/share/gocode/src/github.com/digitalocean/go-libvirt")
# What of go-libvirt's integration tests needs neither storage pools nor secrets.
GO_TESTS = ("TestDeprecatedConnectDisconnectIntegration|TestConnectDisconnectIntegration|"
            "TestConnectToURIIntegration|TestDeprecatedCapabilities|TestCapabilities|"
            "TestUsingNeverConnected|TestUsingAfterDisconnect|TestLostConnection|"
            "TestMultipleConnections|TestXMLIntegration|Test_concurrentWrite")

WAIT_FOR_SERVER = "for try in $(seq 300); do ss -tln | grep -q :16509 && break; sleep 0.2; done; "
DATAGRAM = 'import socket; socket.socket(2, 2).sendto(bytes(5000), ("127.0.0.1", 47000))'


class Server:
    """rpc-server on a unix socket, or on TCP inside a network of its own."""

    def __init__(self, listen, wrap=()):
        self.process = subprocess.Popen([*wrap, str(BIN / "rpc-server"), listen], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def uri(tmp_path):
    path = tmp_path / "sock"
    with Server(f"unix:{path}"):
        yield f"qemu+unix:///system?socket={path}"


def virsh(uri, *words, expect=0):
    done = subprocess.run(["virsh", "-c", uri, *words], text=True, capture_output=True, timeout=60,
                          env=dict(os.environ, LC_ALL="C"))
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.quick
def test_virsh_asks_and_is_answered(uri):
    assert "made-up.example" in virsh(uri, "hostname")
    assert "QEMU 7.2.22" in virsh(uri, "version")
    assert "x86_64" in virsh(uri, "nodeinfo")
    assert virsh(uri, "list", "--all", "--name").split() == ["test"]
    assert "running" in virsh(uri, "domstate", "test")
    assert "256.000 MiB" in virsh(uri, "domjobinfo", "test")
    assert "<name>test</name>" in virsh(uri, "dumpxml", "test")


@pytest.mark.quick
def test_virsh_shows_our_errors_as_libvirts(uri):
    text = virsh(uri, "domstate", "other", expect=1)
    assert "failed to get domain 'other'" in text
    text = virsh(uri, "vol-list", "pool", expect=1)
    assert "not supported by the connection driver" in text
    text = virsh(uri, "managedsave", "test", expect=1)
    assert "not supported by the connection driver" in text


@pytest.mark.quick
def test_virsh_takes_a_screenshot_through_a_stream(uri, tmp_path):
    assert "image/x-portable-pixmap" in virsh(uri, "screenshot", "test", str(tmp_path / "shot"))
    assert (tmp_path / "shot").stat().st_size == 640 * 480 * 3 + 15


@pytest.mark.quick
def test_a_read_only_connection_may_not_write(uri):
    connection = libvirt.openReadOnly(uri)
    domain = connection.lookupByName("test")
    assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    with pytest.raises(libvirt.libvirtError) as caught:
        domain.suspend()
    assert caught.value.get_error_code() == libvirt.VIR_ERR_OPERATION_DENIED
    connection.close()


@pytest.mark.quick
def test_calls_of_one_connection_overlap(uri):
    connection = libvirt.open(uri)
    domain = connection.lookupByName("test")

    def first_answered():
        answered = []
        worker = threading.Thread(target=lambda: (domain.suspend(), answered.append("suspend")))
        worker.start()
        time.sleep(0.1)
        domain.jobStats()  # answered while suspend still waits, unless this thread has no turn
        answered.append("statistics")
        worker.join(timeout=60)
        assert len(answered) == 2
        return answered[0]
    assert "statistics" in (first_answered() for _ in range(5))
    connection.close()


def run_events(stop):
    while not stop.is_set():
        libvirt.virEventRunDefaultImpl()


def read(stream):
    """What a console says next. libvirt's blocking recv() misses data that the turner of its event
    loop takes in before it waits (virNetClientStreamRecvPacket lets go of its lock in between), and
    then waits for ever."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        got = stream.recv(1024)
        if got != -2:  # nothing yet
            return got
        time.sleep(0.01)
    raise AssertionError("the console says nothing")


@pytest.mark.quick
def test_events_and_a_console_through_libvirts_library(uri):
    libvirt.virEventRegisterDefaultImpl()
    stop, heard = threading.Event(), []
    # A timer keeps the event loop of libvirt turning until the test says stop.
    timer = libvirt.virEventAddTimeout(20, lambda *_: None, None)
    turner = threading.Thread(target=run_events, args=(stop,))
    turner.start()
    connection = libvirt.open(uri)
    connection.setKeepAlive(1, 3)
    domain = connection.lookupByName("test")
    number = connection.domainEventRegisterAny(
        None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        lambda _c, who, event, detail, _o: heard.append((who.name(), event, detail)), None)
    domain.suspend()
    end = time.monotonic() + 60
    while not heard and time.monotonic() < end:
        time.sleep(0.02)
    assert heard == [("test", libvirt.VIR_DOMAIN_EVENT_SUSPENDED, 0)]

    stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
    domain.openConsole(None, stream)
    assert read(stream) == b"hello from the console\r\n"
    assert stream.send(b"typed") == 5
    assert read(stream) == b"typed"
    assert stream.send(b"bye") == 3
    assert read(stream) == b""
    stream.finish()

    connection.domainEventDeregisterAny(number)
    connection.close()
    stop.set()
    turner.join(timeout=60)
    libvirt.virEventRemoveTimeout(timer)


@pytest.mark.quick
def test_our_client_against_our_server(uri):
    told = json.loads(subprocess.run([str(BIN / "rpc-client"), uri], text=True, check=True,
                                     stdout=subprocess.PIPE, timeout=60).stdout)
    assert told["hostname"] == "made-up.example"
    assert [domain["name"] for domain in told["domains"]] == ["test"]


@pytest.mark.full
def test_go_libvirt_an_independent_client(tmp_path):
    """Its tests want 127.0.0.1:16509: they get a network of their own, with our server in it."""
    place = tmp_path / "src" / "github.com" / "digitalocean"
    place.mkdir(parents=True)
    shutil.copytree(GO_LIBVIRT, place / "go-libvirt")
    for unit in ("rpc_test.go", "libvirt_test.go"):  # they want a package that Debian splits off
        (place / "go-libvirt" / unit).unlink()
    script = (f"ip link set lo up; {BIN}/rpc-server tcp:127.0.0.1:16509 & server=$!; "
              f"{WAIT_FOR_SERVER}cd {place}/go-libvirt; go test -tags integration -count=1 -v "
              f"-run '^({GO_TESTS})$' . ; code=$?; kill $server; exit $code")
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], text=True, capture_output=True, timeout=280,
        env=dict(os.environ, GO111MODULE="off", GOPATH=f"{tmp_path}:/usr/share/gocode",
                 GOCACHE=str(tmp_path / "cache"), GOFLAGS="-p=1"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("--- PASS") == len(GO_TESTS.split("|")), done.stdout


@pytest.mark.full
def test_wireshark_reads_our_traffic(tmp_path):
    """The dissector of libvirt's own project names every message of a virsh session over TCP."""
    capture = tmp_path / "traffic.pcapng"
    script = (f"ip link set lo up; {BIN}/rpc-server tcp:127.0.0.1:16509 & server=$!; "
              f"tshark -q -i lo -w {capture} & shark=$!; "
              # What is said before it listens is lost: until it has written some other traffic.
              f"for try in $(seq 150); do /usr/bin/python3 -c '{DATAGRAM}'; "
              f"[ $(stat -c %s {capture} || echo 0) -gt 4096 ] && break; sleep 0.2; done; "
              f"{WAIT_FOR_SERVER}"
              "virsh -c qemu+tcp://127.0.0.1/system domstate test; "
              "virsh -c qemu+tcp://127.0.0.1/system suspend test; "
              "sleep 3; kill $shark; wait $shark; kill $server")
    subprocess.run(["unshare", "-n", "sh", "-c", script], check=False, capture_output=True,
                   timeout=180)
    text = subprocess.run(["tshark", "-r", str(capture), "-d", "tcp.port==16509,libvirt",
                           "-Y", "tcp", "-V"],
                          text=True, capture_output=True, timeout=60, check=True).stdout
    for name in ("DOMAIN_LOOKUP_BY_NAME", "DOMAIN_GET_STATE", "DOMAIN_SUSPEND", "AUTH_LIST",
                 "CONNECT_OPEN", "CONNECT_SUPPORTS_FEATURE"):
        assert name in text, name
    assert "name: test" in text
    assert "Malformed" not in text


@pytest.mark.full
def test_our_client_against_a_stock_libvirtd():
    with StockHost("127.0.0.78") as stock:
        told = json.loads(subprocess.run([str(BIN / "rpc-client"), stock.uri], text=True,
                                         check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    assert told["version"] >= 9_000_000
    assert told["domains"] == []
    assert told["hostname"] == stock.name
