# SPDX-License-Identifier: LGPL-2.1-or-later
"""How clients come in: SASL, WebSocket, several at once, all of QEMU's -spice options."""
import base64
import os
import signal
import socket
import struct
import subprocess
import time

import guest
import pytest

from hosts import wait_until
from spice_lab import Client, Machine, same_picture
from spice_raw import Channel
from test_spice_tls import certificates, encrypted_channels, tls_machine  # noqa: F401


def drawn(client):
    client.wait("mark", 60)
    client.wait("draw", 60)


@pytest.fixture
def sasl(tmp_path, monkeypatch):
    """A SASL configuration of QEMU's with one user; `mechanisms` is written by the test."""
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", tmp_path / "users", "-u", "segue", "viewer"],
                   input=b"secret", check=True, capture_output=True)
    monkeypatch.setenv("SASL_CONF_PATH", str(tmp_path))

    def configure(mechanisms):
        (tmp_path / "qemu.conf").write_text(
            f"mech_list: {mechanisms}\npwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
            f"sasldb_path: {tmp_path}/users\n")
    return configure


@pytest.mark.full
@pytest.mark.parametrize("library", ["segue", "stock"])
def test_sasl_with_a_security_layer(tmp_path, sasl, library):
    """Over plain TCP: every byte behind the handshake goes through the layer."""
    sasl("digest-md5")
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), tcp=True, library=library,
                 authentication="sasl=on") as machine:
        machine.wait_frame(2)
        machine.qmp("stop")
        with Client(machine.uri, "--user", "viewer@segue", "--password", "secret") as client:
            drawn(client)
            assert same_picture(machine, client, tmp_path)
        with Client(machine.uri, "--user", "viewer@segue", "--password", "wrong") as client:
            client.wait("disconnected", 60)
        assert machine.qmp("query-spice")["auth"] == "sasl"


@pytest.mark.full
def test_sasl_inside_tls(tmp_path, sasl, certificates):  # noqa: F811
    sasl("scram-sha-256")
    with tls_machine(tmp_path, certificates, "sasl=on", authentication="") as machine:
        uri = f"spice://127.0.0.1?tls-port={machine.tls_port}"
        authority = ("--ca", certificates / "ca-cert.pem")
        with Client(uri, "--user", "viewer@segue", "--password", "secret", *authority) as client:
            drawn(client)
        # Without TLS this mechanism has no layer: it is not offered there.
        with Channel(machine, linked=False) as plain:
            body = struct.pack("<IBBIIIII", 0, 1, 0, 1, 1, 18, 0b1101, 0b1101)
            plain.socket.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body)
            reply = plain.exact(struct.unpack_from("<I", plain.exact(16), 12)[0])
            assert struct.unpack_from("<I", reply)[0] == 0
            plain.socket.sendall(struct.pack("<I", 2))
            assert plain.is_closed()


@pytest.mark.full
def test_a_ticket_is_no_way_around_sasl(tmp_path, sasl):
    sasl("digest-md5")
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), tcp=True,
                 authentication="sasl=on") as machine:
        with pytest.raises((ConnectionError, struct.error, AssertionError)):
            Channel(machine).session()
        for garbage in (b"\0\0\0\0", b"\xff\xff\xff\xff", struct.pack("<I", 5) + b"PLAIN",
                        struct.pack("<I", 10) + b"DIGEST-MD5" + b"\xff\xff\xff\x7f"):
            with Channel(machine, linked=False) as channel:
                body = struct.pack("<IBBIIIII", 0, 1, 0, 1, 1, 18, 0b1101, 0b1101)
                channel.socket.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body)
                channel.exact(struct.unpack_from("<I", channel.exact(16), 12)[0])
                channel.socket.sendall(struct.pack("<I", 2))
                size, = struct.unpack("<I", channel.exact(4))
                assert b"DIGEST-MD5" in channel.exact(size)
                channel.socket.sendall(garbage)
                channel.socket.shutdown(socket.SHUT_WR)
                assert channel.is_closed(), garbage
        assert machine.qmp("query-status")["running"]


class WebSocket:
    """A socket whose bytes travel in frames, as those of spice-html5."""

    def __init__(self, machine):
        self.socket = socket.create_connection(("127.0.0.1", machine.port), 60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{machine.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: binary\r\nOrigin: http://localhost\r\n\r\n").encode())
        self.reply = b""
        while not self.reply.endswith(b"\r\n\r\n"):
            self.reply += self.socket.recv(1)
        self.plain = b""

    def sendall(self, data):
        for at in range(0, len(data), 7):  # many small frames: nothing hangs on their borders
            part, mask = data[at:at + 7], os.urandom(4)
            self.socket.sendall(bytes([0x82, 0x80 | len(part)]) + mask + bytes(
                byte ^ mask[place % 4] for place, byte in enumerate(part)))

    def exact(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def recv(self, size):
        while not self.plain:
            first, small = self.exact(2)
            assert first == 0x82 and small < 128, (first, small)
            length = small if small < 126 else int.from_bytes(
                self.exact(2 if small == 126 else 8), "big")
            self.plain = self.exact(length)
        part, self.plain = self.plain[:size], self.plain[size:]
        return part

    def close(self):
        self.socket.close()


@pytest.mark.quick
def test_a_browser_comes_in_by_websocket(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), tcp=True) as machine:
        machine.wait_frame(2)
        with Channel(machine, linked=False) as main:
            main.socket.close()
            main.socket = WebSocket(machine)
            assert b"101 Switching" in main.socket.reply
            main.link(1)
            assert main.result == 0
            session = main.session()
            with Channel(machine, linked=False) as display:
                display.socket.close()
                display.socket = WebSocket(machine)
                display.link(2, session)
                display.send(101, struct.pack("<BqBI", 1, 1 << 20, 1, 1 << 20))
                seen = set()
                while not {314, 304} <= seen:  # the surface, and something drawn into it
                    seen.add(display.receive()[0])
        for request in (b"GET / HTTP/1.1\r\n\r\n", b"GET " + b"a" * 20000, b"GET"):
            with Channel(machine, linked=False) as other:
                other.socket.sendall(request)
                other.socket.shutdown(socket.SHUT_WR)
                assert other.is_closed(), request[:20]
        assert machine.qmp("query-status")["running"]


@pytest.mark.full
def test_several_clients_at_once_where_that_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("SPICE_DEBUG_ALLOW_MC", "1")
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as machine:
        machine.wait_frame(2)
        with Client(machine.uri) as one, Client(machine.uri) as two:
            drawn(one)
            drawn(two)
            machine.qmp("stop")
            assert same_picture(machine, one, tmp_path)
            assert same_picture(machine, two, tmp_path)
            assert machine.channels().count((1, 0)) == 2


def seconds_of(machine, client, frames):
    """How long the guest takes for so many frames, the client being sent some of the last ones."""
    begun, last = time.monotonic(), machine.wait_frame(1) + frames
    machine.wait_frame(last - 2)
    before = client.count("draw")
    machine.wait_frame(last)
    wait_until(lambda: client.count("draw") > before, 60, "the client is sent what is drawn")
    return time.monotonic() - begun


@pytest.mark.full
def test_one_slow_client_slows_neither_another_nor_the_guest(tmp_path, monkeypatch):
    """Every frame is more than a socket takes."""
    frames = 20
    monkeypatch.setenv("SPICE_DEBUG_ALLOW_MC", "1")
    disk = guest.boot_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk, options="image-compression=off") as machine:
        machine.wait_frame(2)
        with Client(machine.uri) as frozen, Client(machine.uri) as reader:
            drawn(frozen)
            drawn(reader)
            both_read = seconds_of(machine, reader, frames)
            frozen.process.send_signal(signal.SIGSTOP)
            # More than once: at first its socket takes something.
            for _ in range(3):
                assert seconds_of(machine, reader, frames) < 3 * both_read + 10
            assert machine.channels().count((1, 0)) == 2, "it is frozen, not gone"
            machine.qmp("stop")
            assert same_picture(machine, reader, tmp_path)
            # It then sees what is shown now, like everybody.
            frozen.process.send_signal(signal.SIGCONT)
            assert same_picture(machine, frozen, tmp_path)


@pytest.mark.full
def test_every_option_of_qemu_is_taken(tmp_path, certificates):  # noqa: F811
    options = ("ipv4=on,jpeg-wan-compression=auto,zlib-glz-wan-compression=never,"
               "streaming-video=filter,agent-mouse=off,playback-compression=off,"
               "seamless-migration=on,disable-copy-paste=on,disable-agent-file-xfer=on,"
               "image-compression=lz,tls-channel=main,plaintext-channel=record,"
               "tls-ciphers=ECDHE-RSA-AES256-GCM-SHA384")
    with tls_machine(tmp_path, certificates, options) as machine:
        uri = f"spice://127.0.0.1?port={machine.port}&tls-port={machine.tls_port}"
        with Client(uri, "--ca", certificates / "ca-cert.pem") as client:
            drawn(client)
            encrypted = encrypted_channels(machine, {1, 2, 3, 4})
            assert encrypted[1] is True and encrypted[2] is False
