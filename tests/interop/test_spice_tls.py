# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS, as QEMU's x509-dir has it, with stock clients."""
import subprocess

import guest
import pytest

from hosts import free_port, wait_until
from spice_lab import Client, Machine, same_picture


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    where = tmp_path_factory.mktemp("tls")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test CA",
            "-keyout", where / "ca-key.pem", "-out", where / "ca-cert.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Segue/CN=127.0.0.1",
            "-keyout", where / "server-key.pem", "-out", where / "server.csr")
    (where / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", where / "server.csr", "-CA", where / "ca-cert.pem", "-CAkey",
            where / "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", where / "names",
            "-out", where / "server-cert.pem")
    return where


def tls_machine(directory, certificates, options="", **more):
    disk = guest.boot_disk(directory / "disk.img")
    machine = Machine(directory, *disk, tcp=True, options=",".join(filter(None, [
        f"tls-port={free_port()}", f"x509-dir={certificates}", options])), **more)
    machine.tls_port = next(int(word.split("=")[1]) for word in machine.argv[
        machine.argv.index("-spice") + 1].split(",") if word.startswith("tls-port="))
    return machine


@pytest.mark.quick
def test_everything_over_tls(tmp_path, certificates):
    with tls_machine(tmp_path, certificates) as machine:
        machine.wait_frame(2)
        machine.qmp("stop")
        uri = f"spice://127.0.0.1?tls-port={machine.tls_port}"
        with Client(uri, "--ca", certificates / "ca-cert.pem") as client:
            client.wait("mark", timeout=60)
            assert same_picture(machine, client, tmp_path)
            assert all(channel["tls"] for channel in machine.qmp("query-spice")["channels"])


def encrypted_channels(machine, wanted):
    """channel-type -> tls, once QEMU knows the wanted ones: the client is told first."""
    encrypted = {}

    def are_known():
        encrypted.update({channel["channel-type"]: channel["tls"]
                          for channel in machine.qmp("query-spice").get("channels", [])})
        return wanted <= encrypted.keys()
    wait_until(are_known, 60, lambda: f"query-spice names only the channels {sorted(encrypted)}")
    return encrypted


@pytest.mark.full
def test_a_channel_that_is_for_tls_only(tmp_path, certificates):
    with tls_machine(tmp_path, certificates, "tls-channel=inputs") as machine:
        uri = f"spice://127.0.0.1?port={machine.port}&tls-port={machine.tls_port}"
        with Client(uri, "--ca", certificates / "ca-cert.pem") as client:
            client.wait("channel-event", kind="InputsChannel", what="opened", timeout=60)
            client.wait("mark")
            encrypted = encrypted_channels(machine, {2, 3})
            assert encrypted[3] is True and encrypted[2] is False
