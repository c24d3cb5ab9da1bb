# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other ways to a stock SPICE server: SASL, a unix socket, an HTTP proxy."""
import os
import socket
import subprocess
import threading

import guest
import pytest
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
            assert view.process.wait(20) == 1
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
            assert view.process.wait(20) == 1
        assert "403 Not for you" in view.named("error")[-1]["message"]


@pytest.mark.full
def test_a_unix_socket(tmp_path):
    path = tmp_path / "spice.sock"
    with guest.Qemu(tmp_path / "vm", *SCREEN, "-spice",
                    f"unix=on,addr={path},disable-ticketing=on"):
        see_a_picture(tmp_path / "view", f"spice+unix://{path}")
