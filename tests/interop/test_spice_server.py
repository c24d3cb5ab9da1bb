# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock clients on Debian's QEMU, which runs on our libspice-server.so.1."""
import re
import subprocess
import time

import cells
import guest
import pytest

from hosts import wait_until
from spice_lab import CHANNELS, LIBRARY, Client, Machine, same_picture

STOCK = "/usr/lib/x86_64-linux-gnu/libspice-server.so.1"


def symbols(path):
    """{name: version node} of the functions that a library defines."""
    listing = subprocess.run(["nm", "-D", "--with-symbol-versions", "--defined-only", path],
                             capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r" T (\w+)@@(\S+)", listing))


def version_chain(path):
    listing = subprocess.run(["readelf", "-V", path], capture_output=True, text=True,
                             check=True).stdout
    return re.findall(r"(?:Name|Parent \d+): (SPICE_SERVER_\S+)", listing)


@pytest.mark.quick
def test_symbols_and_versions_are_those_of_stock():
    ours = LIBRARY / "libspice-server.so.1"
    assert len(symbols(STOCK)) == 97
    assert symbols(ours) == symbols(STOCK)
    assert version_chain(ours) == version_chain(STOCK)
    everything = subprocess.run(["nm", "-D", "--defined-only", ours], capture_output=True,
                                text=True, check=True).stdout
    assert not [line for line in everything.splitlines() if " _Z" in line], "C++ symbols leave"


def screenshot(uri, path):
    done = subprocess.run(["spicy-screenshot", f"--uri={uri}", "-o", path], timeout=60,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return cells.Picture.read(path)


@pytest.mark.quick
def test_a_console_is_seen_as_it_is(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk) as machine:
        assert machine.uses_our_library()
        machine.wait_frame(3)
        machine.qmp("stop")
        shown = screenshot(machine.uri, tmp_path / "shot.ppm")
        dumped = machine.picture()
        assert (shown.width, shown.height, shown.data) == (dumped.width, dumped.height, dumped.data)


@pytest.mark.full
@pytest.mark.parametrize("vga, compression", [
    ("VGA", "off"), ("qxl-vga", "auto_glz"), ("virtio-vga", "auto_lz"), ("VGA", "quic"),
    ("qxl-vga", "glz"), ("virtio-vga", "lz"), ("VGA", "lz4"), ("VGA", "zlib")])
def test_pictures_are_exact(tmp_path, vga, compression):
    disk = guest.boot_disk(tmp_path / "disk.img")
    options = {"zlib": "zlib-glz-wan-compression=always,image-compression=glz",
               # QEMU has no word for it; the client has.
               "lz4": "image-compression=off"}.get(compression, f"image-compression={compression}")
    with Machine(tmp_path, *disk, vga=vga, options=options) as machine:
        first = machine.wait_frame(2)
        with Client(machine.uri) as client:
            client.wait("mark")
            if compression == "lz4":
                client.tell("prefer 7")
            machine.wait_frame(machine.wait_frame(1) + 5)
            machine.qmp("stop")
            assert same_picture(machine, client, tmp_path)
            # One refresh is one or few images, not a column of 32 pixels each.
            assert client.count("draw") < 80 * (machine.wait_frame(1) - first + 2)


@pytest.mark.quick
def test_the_client_may_ask_for_a_compression(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk, options="image-compression=off") as machine:
        with Client(machine.uri) as client:
            client.wait("mark")

            def drawn():
                """(bytes, pixels) that have come."""
                read = client.tell("bytes")["bytes"]
                return read, sum(event["width"] * event["height"] for event in client.events
                                 if event["event"] == "draw")

            def bytes_of_a_pixel():
                """Of the next frames, of which a busy host leaves some out."""
                bytes_before, pixels_before = drawn()
                machine.wait_frame(machine.wait_frame(1) + 10)
                wait_until(lambda: drawn()[1] > pixels_before, 60, "something is drawn")
                read, pixels = drawn()
                return (read - bytes_before) / (pixels - pixels_before)

            raw = bytes_of_a_pixel()
            client.tell("prefer 5")
            machine.wait_frame(machine.wait_frame(1) + 2)
            assert bytes_of_a_pixel() * 4 < raw
            machine.qmp("stop")
            assert same_picture(machine, client, tmp_path)


@pytest.mark.quick
def test_the_ticket_is_asked_for(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk, authentication="") as machine:
        with Client(machine.uri, "--password", "early") as client:
            client.wait("channel-event", what="error-auth")
        machine.qmp("set_password", protocol="spice", password="secret")
        with Client(machine.uri, "--password", "wrong") as client:
            client.wait("channel-event", what="error-auth")
        with Client(machine.uri, "--password", "secret") as client:
            client.wait("mark")
            assert machine.qmp("query-spice")["auth"] == "spice"
        machine.qmp("expire_password", protocol="spice", time="now")
        with Client(machine.uri, "--password", "secret") as client:
            client.wait("channel-event", what="error-auth")


@pytest.mark.quick
def test_the_second_client_takes_the_place_of_the_first(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as machine:
        with Client(machine.uri) as first:
            first.wait("mark")
            with Client(machine.uri) as second:
                second.wait("mark")
                first.wait("disconnected")
                machine.wait_channels(CHANNELS)


@pytest.mark.quick
def test_events_of_a_client(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as machine:
        with Client(machine.uri) as client:
            client.wait("mark")
            for name in ("SPICE_CONNECTED", "SPICE_INITIALIZED"):
                for _ in range(4):
                    event = machine.qmp.wait_event(name)
                    assert event["data"]["client"]["family"] == "unix"
        for _ in range(4):
            machine.qmp.wait_event("SPICE_DISCONNECTED")
        machine.wait_channels([])


@pytest.mark.quick
def test_keys_reach_the_machine(tmp_path):
    log = tmp_path / "bios.log"

    def wait_bios(words):
        end = time.monotonic() + 60
        while not log.exists() or words not in log.read_text(errors="replace"):
            assert time.monotonic() < end, f"the BIOS does not say '{words}'"
            time.sleep(0.1)
    with Machine(tmp_path, "-boot", "menu=on,splash-time=65000", "-chardev",
                 f"file,id=bios,path={log}", "-device",
                 "isa-debugcon,iobase=0x402,chardev=bios") as machine:
        with Client(machine.uri) as client:
            client.linked()
            # Keys before that are lost while it sets up its keyboard.
            wait_bios("Press ESC for boot menu")
            before = machine.picture().data
            client.tell("key 1")
            wait_bios("Select boot device")
            end = time.monotonic() + 60
            while machine.picture().data == before:
                assert time.monotonic() < end, "the screen does not show it"
                time.sleep(0.1)
            assert same_picture(machine, client, tmp_path)


@pytest.mark.quick
def test_the_sandbox_of_qemu_forbids_nothing_we_need(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img")
    sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    with Machine(tmp_path, *disk, "-sandbox", sandbox) as machine:
        machine.wait_frame(2)
        machine.qmp("stop")
        with Client(machine.uri) as client:
            client.wait("mark")
            assert same_picture(machine, client, tmp_path)
