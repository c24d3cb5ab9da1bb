# SPDX-License-Identifier: LGPL-2.1-or-later
"""Connections that the owner of a session makes, as virt-manager and tunnels do: the client library
(tests/peers/connector_view.cpp) asks for those to the source and for those to the target of a move.
And servers that are known by their public key."""
import json
import signal
import subprocess
import time

import guest
import pytest
import spice_lab
import viewer
from hosts import BIN, wait_until

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])
CHANNELS = {"main:0", "display:0", "inputs:0", "cursor:0"}


class View:
    """connector-view of a server at `home`; `ways` says which address leads to which name."""

    def __init__(self, directory, home, ways, *words):
        host, port, tls_port = home
        self.log = directory / "events"
        self.argv = [BIN / "connector-view", host, str(port), str(tls_port),
                     *(f"at:{name}={address}" for name, address in ways.items()), *words]

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    @property
    def events(self):
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def named(self, name, **fields):
        return [event for event in self.events
                if event["event"] == name and fields.items() <= event.items()]

    def wait(self, name, count=1, **fields):
        wait_until(lambda: len(self.named(name, **fields)) >= count, 60,
                   lambda: f"no '{name}' {count}: {self.events[-8:]}")
        return self.named(name, **fields)[count - 1]

    def asked(self, where):
        return {event["channel"] for event in self.named("asked", where=where)}

    def goes_on(self):
        self.wait("frame", len(self.named("frame")) + 5)


def machine(directory, disk, library, *more):
    directory.mkdir()
    return spice_lab.Machine(directory, *disk, *more, library=library,
                             options="seamless-migration=on")


@pytest.mark.full
@LIBRARIES
def test_the_owner_is_asked_for_source_and_target(tmp_path, library):
    """Names that only the owner can find, and sockets that nobody else knows of."""
    disk = guest.boot_disk(tmp_path / "disk.img", fps=20)
    with machine(tmp_path / "a", disk, library) as source, \
            machine(tmp_path / "b", disk, library, "-incoming",
                    f"unix:{tmp_path}/migrate.sock") as target:
        source.wait_frame(5)
        ways = {"source.invalid:1": f"unix:{source.spice_path}",
                "target.invalid:2": f"unix:{target.spice_path}"}
        with View(tmp_path, ("source.invalid", 1, 0), ways) as view:
            view.wait("connected")
            assert view.asked("source.invalid:1") == CHANNELS
            source.qmp("client_migrate_info", protocol="spice", hostname="target.invalid", port=2)
            view.wait("target-connected")
            assert view.asked("target.invalid:2") == CHANNELS
            time.sleep(0.5 if library == "segue" else 2)  # stock does not say what it has heard
            spice_lab.move(source, tmp_path)
            assert view.wait("switch")["manner"] == "seamless"
            assert view.wait("migrate-done")["host"] == "target.invalid:2"
            view.goes_on()
            assert not view.named("disconnected")


def public_key(pki, host):
    """Of a host's certificate, as a file in DER."""
    path = pki / f"{host}.der"
    text = subprocess.run(["openssl", "x509", "-in", pki / host / "server-cert.pem", "-pubkey",
                           "-noout"], check=True, capture_output=True).stdout
    subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER", "-out", path], input=text,
                   check=True, capture_output=True)
    return path


class Secure:
    """A machine that two hosts can have, each with certificate and key of a name."""

    def __init__(self, directory):
        self.directory = directory
        self.pki = viewer.make_certificates(directory / "pki", "ours", "another")
        self.disk = guest.boot_disk(directory / "disk.img", fps=20)
        self.ways = {}

    def host(self, name, certificate, library, incoming=False):
        tls_port = viewer.free_port()
        vm = viewer.spice_qemu(
            self.directory / name, "-vga", "std", *self.disk, incoming=incoming,
            spice=f",tls-port={tls_port},x509-dir={self.pki}/{certificate}",
            environment=spice_lab.environment(library))
        self.ways[f"{name}.invalid:9"] = f"tcp:127.0.0.1:{tls_port}"
        return vm

    def view(self, key):
        return View(self.directory, ("source.invalid", 0, 9), self.ways,
                    f"ca={self.pki}/ca-cert.pem", f"key={public_key(self.pki, key)}")


def announce(source, name):
    source.qmp("client_migrate_info", protocol="spice", hostname=f"{name}.invalid", port=-1,
               tls_port=9, cert_subject="O=Segue test,CN=somebody")


@pytest.mark.full
@LIBRARIES
def test_a_pinned_key_is_what_counts(tmp_path, library):
    """Not the certificate's name, nor the subject that is announced; and on the target, too."""
    lab = Secure(tmp_path)
    with lab.host("source", "ours", library) as source, \
            lab.host("elsewhere", "another", library, incoming=True), \
            lab.host("target", "ours", library, incoming=True) as target:
        source.wait_frame(5)
        with lab.view("ours") as view:
            assert view.wait("connected")["secure"] is True
            announce(source, "elsewhere")
            assert "another public key than the pinned one" in view.wait("error")["message"]
            view.goes_on()
            announce(source, "target")
            view.wait("target-connected")
            time.sleep(0.5 if library == "segue" else 2)
            viewer.migrate(source, target)
            assert view.wait("migrate-done")["secure"] is True
            assert view.named("switch")[0]["manner"] == "seamless"
            view.goes_on()
            assert not view.named("disconnected")


@pytest.mark.full
def test_another_key_than_the_pinned_one_is_refused(tmp_path):
    lab = Secure(tmp_path)
    with lab.host("source", "ours", "stock"), lab.view("another") as view:
        assert "another public key than the pinned one" in view.wait("over")["message"]
        assert not view.named("connected") and not view.named("frame")
