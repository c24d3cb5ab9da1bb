# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue-view` and its line to stock servers: broken on the way, encrypted for good."""
import time

import guest
import pytest
import viewer
from viewer_cells import Line

SEMI = {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"}
SWITCH = {**SEMI, "SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE": "0"}
MAIN = 1


def channels_of(vm):
    return vm.qmp("query-spice").get("channels", [])


def wait_until(condition, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.full
@pytest.mark.parametrize("masks", [{}, SEMI], ids=["seamless", "semi-seamless"])
def test_a_line_that_breaks_before_the_machine_goes(tmp_path, masks):
    """The target lets viewers in before it has the machine: who lost the source goes back to it.
    When the machine goes, stock's sends it along; or, where it forgot the announcement with the
    viewer that had linked, ends the session."""
    machine = ["-vga", "qxl", *guest.boot_disk(tmp_path / "disk.img", fps=20)]
    with viewer.spice_qemu(tmp_path / "a", *machine) as source, \
            viewer.spice_qemu(tmp_path / "b", *machine, incoming=True) as target, \
            Line(source.port) as line:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{line.port}", "--commands",
                           environment=masks) as view:
            view.wait("connected")
            view.wait("frame", 3)
            viewer.announce(source, target)
            view.wait("target-connected")
            line.tell("cut")
            assert view.wait("disconnected")["retrying"] is True
            assert view.wait("connected", 2)["host"] == f"127.0.0.1:{line.port}"
            wait_until(lambda: len(channels_of(source)) == 4)
            # Stock's does not look at those that wait beside it.
            wait_until(lambda: not any(one["channel-type"] == MAIN for one in channels_of(target)))
            view.wait("frame", len(view.named("frame")) + 5)
            viewer.migrate(source, target)
            there = f"127.0.0.1:{target.port}"
            wait_until(lambda: any(event["host"] == there
                                   for event in view.named("connected", "migrate-done")))
            assert view.shows(target)
            assert view.stop() == 0


@pytest.mark.full
def test_a_channel_that_comes_later_is_encrypted_as_the_others(tmp_path):
    """The viewer was told of a TLS port only; the target has a plain one, and a channel more."""
    pki = viewer.make_certificates(tmp_path / "pki", "host-a", "host-b")
    ports = {name: viewer.free_port() for name in "ab"}
    machine = ["-vga", "qxl", *guest.boot_disk(tmp_path / "disk.img", fps=20)]

    def secure(name, backend, **more):
        port = ["-chardev", f"{backend},id=late", "-device", "virtio-serial-pci", "-device",
                "virtserialport,chardev=late,name=late"]
        return viewer.spice_qemu(
            tmp_path / name, *machine, *port,
            spice=f",tls-port={ports[name]},x509-dir={pki}/host-{name}", **more)
    with secure("a", "null") as source, \
            secure("b", "spiceport,name=org.segue.late", incoming=True) as target:
        source.wait_frame(5)
        with viewer.Viewer(tmp_path / "view", f"spice+tls://127.0.0.1:{ports['a']}", "--commands",
                           f"--spice-ca-file={pki}/ca-cert.pem",
                           "--spice-host-subject=O=Segue test,CN=host-a",
                           environment=SWITCH) as view:
            assert view.wait("connected")["secure"] is True
            view.wait("frame", 3)
            viewer.announce(source, target, tls_port=ports["b"],
                            cert_subject="O=Segue test,CN=host-b")
            viewer.migrate(source, target)
            view.wait("port")
            assert view.wait("migrate-done")["secure"] is True
            wait_until(lambda: len(channels_of(target)) == 5)
            channels = channels_of(target)
            assert all(channel["tls"] for channel in channels), channels
            assert view.stop() == 0
        assert not view.named("error")
