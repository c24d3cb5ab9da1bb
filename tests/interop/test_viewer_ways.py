# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other ways to a stock SPICE server: SASL, a unix socket, an HTTP proxy."""
import os
import select
import socket
import struct
import subprocess
import threading

import guest
import pytest
import spice_lab
import viewer

SCREEN = ("-vga", "qxl")


def sasl_environment(directory, mechanisms):
    """QEMU's environment with these mechanisms, and the user "user" with the password "secret"."""
    directory.mkdir()
    database = directory / "sasl.db"
    (directory / "qemu.conf").write_text(
        f"mech_list: {mechanisms}\nsasldb_path: {database}\n", encoding="ascii")
    subprocess.run(["saslpasswd2", "-f", database, "-a", "qemu", "-c", "-p", "user"],
                   input=b"secret", check=True, capture_output=True)
    return {**os.environ, "SASL_CONF_PATH": str(directory)}


def see_a_picture(directory, uri, *options, **environment):
    with viewer.Viewer(directory, uri, *options, environment=environment) as view:
        view.wait("connected")
        view.wait("frame")
        assert view.stop() == 0
    assert not view.named("error")


@pytest.mark.full
def test_sasl_with_a_security_layer(tmp_path):
    environment = sasl_environment(tmp_path / "sasl", "digest-md5")
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN, spice=",sasl=on",
                           environment=environment) as vm:
        uri = f"spice://user@127.0.0.1:{vm.port}"
        see_a_picture(tmp_path / "good", uri, SEGUE_VIEW_PASSWORD="secret")
        with viewer.Viewer(tmp_path / "bad", uri,
                           environment={"SEGUE_VIEW_PASSWORD": "guess"}) as view:
            assert view.process.wait(60) == 1
        assert [error["code"] for error in view.named("error")] == ["auth_failed"]
        assert "guess" not in view.log()


@pytest.mark.full
def test_sasl_under_tls(tmp_path):
    environment = sasl_environment(tmp_path / "sasl", "scram-sha-256")
    pki = viewer.make_certificates(tmp_path / "pki", "host")
    tls_port = viewer.free_port()
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN, environment=environment,
                           spice=f",sasl=on,tls-port={tls_port},x509-dir={pki}/host"):
        see_a_picture(tmp_path / "view", f"spice+tls://user@127.0.0.1:{tls_port}",
                      f"--spice-ca-file={pki}/ca-cert.pem",
                      "--spice-host-subject=O=Segue test,CN=host", SEGUE_VIEW_PASSWORD="secret")


class Proxy:
    """An HTTP proxy that knows CONNECT; `asked` are the first lines and authorizations."""

    def __init__(self, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.answer, self.asked = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        self.asked.append((lines[0], [line for line in lines if "Authorization" in line]))
        client.sendall(self.answer)
        if b" 200 " not in self.answer:
            client.close()
            return
        host, port = lines[0].split()[1].rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        threading.Thread(target=self.carry, args=(client, server), daemon=True).start()
        self.carry(server, client)

    @staticmethod
    def carry(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.full
def test_through_a_proxy(tmp_path):
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN) as vm, Proxy() as proxy:
        see_a_picture(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                      SPICE_PROXY=f"http://me:secret@127.0.0.1:{proxy.port}")
        assert len(proxy.asked) == 4, "a connection for each channel"
        assert set(line for line, _ in proxy.asked) == {f"CONNECT 127.0.0.1:{vm.port} HTTP/1.1"}
        assert proxy.asked[0][1] == ["Proxy-Authorization: Basic bWU6c2VjcmV0"]


@pytest.mark.full
def test_a_proxy_that_refuses_is_named(tmp_path):
    with Proxy(b"HTTP/1.1 403 Not for you\r\n\r\n") as proxy:
        with viewer.Viewer(tmp_path / "view", "spice://127.0.0.1:5900", environment={
                "SPICE_PROXY": f"http://127.0.0.1:{proxy.port}"}) as view:
            assert view.process.wait(60) == 1
        assert "403 Not for you" in view.named("error")[-1]["message"]


@pytest.mark.full
def test_a_unix_socket(tmp_path):
    path = tmp_path / "spice.sock"
    with guest.Qemu(tmp_path / "vm", *SCREEN, "-spice",
                    f"unix=on,addr={path},disable-ticketing=on"):
        see_a_picture(tmp_path / "view", f"spice+unix://{path}")


# What a link message offers: common capabilities, and the channel's own. Segue's own bit says that
# the viewer follows to a standby (standby.schema).
KNOWS_STANDBY = 1 << 24
MASKS = [({}, 0b1111, 0b1111 | KNOWS_STANDBY),
         ({"SPICE_COMMON_CAP_MINI_HEADER": "0", "SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"}, 0b0111,
          0b0111 | KNOWS_STANDBY),
         ({"SPICE_MAIN_CAP_KNOWS_STANDBY": "0"}, 0b1111, 0b1111),
         ({"SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION": "0", "SPICE_COMMON_CAP_AUTH_SASL": "0",
           "SPICE_MAIN_CAP_NAME_AND_UUID": "0", "SPICE_MAIN_CAP_AGENT_CONNECTED_TOKENS": "1"},
          0b1010, 0b1101 | KNOWS_STANDBY)]


@pytest.mark.full
@pytest.mark.parametrize("environment, common, own", MASKS)
def test_a_masked_capability_is_not_offered(tmp_path, environment, common, own):
    with socket.create_server(("127.0.0.1", 0)) as server, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{server.getsockname()[1]}",
                          environment=environment):
        # Channels are connected ahead of their turn; main speaks first.
        peers, speaker = [], None
        while speaker is None:
            ready = select.select([server, *peers], [], [], 60)[0]
            assert ready, "nobody comes, or nobody speaks"
            speaker = next((peer for peer in peers if peer in ready), None)
            if server in ready:
                peers.append(server.accept()[0])
        speaker.settimeout(60)
        message = speaker.recv(16 + 18 + 8, socket.MSG_WAITALL)
        for peer in peers:
            peer.close()
    assert struct.unpack_from("<IIII", message, 20 + 2) [:3] == (1, 1, 18)
    assert struct.unpack_from("<II", message, 16 + 18) == (common, own)


@pytest.mark.full
@pytest.mark.parametrize("library", ["stock", "segue"])
def test_a_link_without_what_newer_servers_have(tmp_path, library):
    """The long header of messages, no choice of authentication, no codec that must be asked for."""
    masked = {f"SPICE_COMMON_CAP_{name}": "0" for name in ("MINI_HEADER", "AUTH_SASL",
                                                           "PROTOCOL_AUTH_SELECTION")}
    masked |= {f"SPICE_DISPLAY_CAP_{name}": "0" for name in (
        "LZ4_COMPRESSION", "COMPOSITE", "A8_SURFACE", "PREF_COMPRESSION", "MULTI_CODEC",
        "CODEC_MJPEG", "MONITORS_CONFIG", "SIZED_STREAM")}
    masked |= {"SPICE_DISABLE_ADAPTIVE_STREAMING": "1", "SPICE_DISABLE_OPUS": "1"}
    with viewer.spice_qemu(tmp_path / "vm", *SCREEN, *guest.boot_disk(tmp_path / "disk.img"),
                           password="word", environment=spice_lab.environment(library)) as vm:
        vm.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}", "--commands",
                           environment={**masked, "SEGUE_VIEW_PASSWORD": "word"}) as view:
            view.wait("connected")
            view.wait("frame", 5)
            assert view.shows(vm)
            assert view.stop() == 0
        assert not view.named("error")
