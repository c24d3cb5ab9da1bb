# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `segue-view` shares with a guest: a folder, discs and USB devices, smartcards. On stock QEMU
with stock's spice-server and with ours; the guest's end is held by the test, or is firmware that
starts from the shared disc."""
import re
import struct
import subprocess
import time

import guest
import pytest
import spice_lab
import vdagent
import viewer

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])
FOLDER_PORT = "org.spice-space.webdav.0"


def machine(directory, *arguments, library="stock", **more):
    return viewer.spice_qemu(directory, "-vga", "qxl", *arguments,
                             environment=spice_lab.environment(library), **more)


def wait_until(test, what, timeout=60):
    end = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.05)


# --- Folder --------------------------------------------------------------------------------------

class GuestsBrowsers:
    """Connections of programs in the guest, over the port as spice-webdavd multiplexes them."""

    def __init__(self, peer):
        self.peer = peer
        self.came = {}
        self.over = set()

    def say(self, client, data):
        for at in range(0, len(data), 60000):
            part = data[at:at + 60000]
            self.peer.send(struct.pack("<qH", client, len(part)) + part)

    def close(self, client):
        self.peer.send(struct.pack("<qH", client, 0))

    def take_one(self):
        client, size = struct.unpack("<qH", self.peer.exact(10))
        self.came[client] = self.came.get(client, b"") + self.peer.exact(size)
        if size == 0:
            self.over.add(client)

    def answer(self, client):
        """(status, headers, body) of the oldest answer to this client."""
        while b"\r\n\r\n" not in self.came.get(client, b""):
            self.take_one()
        head, rest = self.came[client].split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        size = int(headers.get("content-length", 0))
        while len(self.came[client]) < len(head) + 4 + size:
            self.take_one()
        rest = self.came[client][len(head) + 4:]
        self.came[client] = rest[size:]
        return int(lines[0].split()[1]), headers, rest[:size]

    def ask(self, client, method, path, body=b"", **headers):
        fields = {"Host": "localhost", "Content-Length": len(body), **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.say(client, f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode() + body)
        return self.answer(client)


def folder_guest(directory):
    return [*vdagent.devices(directory, (FOLDER_PORT, f"spiceport,name={FOLDER_PORT}")),
            *guest.linux(f"load=pipe:{FOLDER_PORT}:peer", tick=0)]


def shared_folder(directory):
    folder = directory / "shared"
    (folder / "inner").mkdir(parents=True)
    (folder / "hello.txt").write_bytes(b"hello, guest\n")
    (folder / "large").write_bytes(bytes(range(256)) * 8192)
    (directory / "secret").write_bytes(b"not shared")
    return folder


@pytest.mark.full
@LIBRARIES
def test_the_guest_reads_and_writes_the_shared_folder(tmp_path, library):
    folder = shared_folder(tmp_path)
    with machine(tmp_path, *folder_guest(tmp_path), library=library) as vm, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--spice-shared-dir", folder) as view:
        wait_until(lambda: b"pipe ready" in vm.ticks.text(), vm.ticks.text, 120)
        assert view.wait("device", timeout=60)["there"] is True
        with vdagent.Peer(tmp_path) as peer:
            browsers = GuestsBrowsers(peer)
            status, _, body = browsers.ask(1, "GET", "/hello.txt")
            assert (status, body) == (200, b"hello, guest\n")
            status, _, listing = browsers.ask(1, "PROPFIND", "/", Depth=1)
            assert status == 207
            assert {b"hello.txt", b"inner", b"large"} <= set(re.findall(rb"[\w.]+", listing))
            # Two at once, each with its own bytes.
            browsers.say(2, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            browsers.say(3, b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert browsers.answer(3)[2] == b"hello, guest\n"
            assert browsers.answer(2)[2] == (folder / "large").read_bytes()
            written = bytes(range(255, -1, -1)) * 4096
            assert browsers.ask(1, "PUT", "/inner/from-guest", written)[0] in (200, 201, 204)
            assert (folder / "inner" / "from-guest").read_bytes() == written
            # Nothing outside of it.
            for path in ("/../secret", "/%2e%2e/secret", "/inner/../../secret"):
                status, _, body = browsers.ask(1, "GET", path)
                assert status >= 400 and b"not shared" not in body, path
            browsers.close(1)
            # What is no HTTP loses its own connection.
            browsers.say(4, b"\0\1\2\3 nonsense\r\n\r\n")
            wait_until(lambda: browsers.take_one() or 4 in browsers.over, "connection 4 lives")
            assert browsers.ask(5, "GET", "/hello.txt")[0] == 200
        assert view.stop() == 0


@pytest.mark.full
def test_the_folder_stays_through_a_seamless_move(tmp_path):
    folder = shared_folder(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
    with machine(tmp_path / "a", *folder_guest(tmp_path / "a")) as source, \
            machine(tmp_path / "b", *folder_guest(tmp_path / "b"), incoming=True) as target, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}",
                          "--spice-shared-dir", folder) as view:
        wait_until(lambda: b"pipe ready" in source.ticks.text(), source.ticks.text, 120)
        view.wait("device", timeout=60)
        with vdagent.Peer(tmp_path / "a") as peer:
            assert GuestsBrowsers(peer).ask(1, "GET", "/hello.txt")[0] == 200
        view.wait("connected")
        viewer.announce(source, target)
        view.wait("target-connected", timeout=60)
        viewer.migrate(source, target)
        assert view.wait("migrate-done", timeout=60)["manner"] == "seamless"
        with vdagent.Peer(tmp_path / "b") as peer:
            # The same connection as before the move.
            status, _, body = GuestsBrowsers(peer).ask(1, "GET", "/hello.txt")
            assert (status, body) == (200, b"hello, guest\n")
        assert len(view.named("device")) == 1, "it never left"
        assert view.stop() == 0


# --- Discs and USB devices -----------------------------------------------------------------------

def usb_guest():
    return ["-device", "qemu-xhci", "-chardev", "spicevmc,id=usb,name=usbredir",
            "-device", "usb-redir,chardev=usb"]


def is_plugged_in(vm):
    """QEMU lists its end for ever; the speed is that of the device behind it."""
    return "Speed 480 Mb/s, Product USB Redirection Device" in vm.qmp.human("info usb")


def start_from_disc(vm):
    """The firmware looks for discs when the machine starts: it starts again, with the disc there;
    once more where the firmware's patience with USB was too short for a busy host."""
    wait_until(lambda: is_plugged_in(vm), "no device", 60)
    for _ in range(6):
        vm.qmp("system_reset")
        try:
            return vm.ticks.wait(10, timeout=20)
        except TimeoutError:
            continue
    raise TimeoutError(f"the firmware does not start the disc: {vm.ticks.text()!r}")


def check_disc(vm):
    assert b"bad" not in vm.ticks.text()


@pytest.mark.full
@LIBRARIES
def test_a_guest_starts_from_a_shared_disc(tmp_path, library):
    disc = guest.disc_image(tmp_path / "disc.iso")
    with machine(tmp_path / "vm", *usb_guest(), library=library) as vm, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--spice-share-cd", disc) as view:
        assert view.wait("device")["name"] == f"disc {disc}"
        start_from_disc(vm)
        assert view.stop() == 0
        check_disc(vm)


@pytest.mark.full
def test_a_shared_disc_is_read_through_a_seamless_move(tmp_path):
    disc = guest.disc_image(tmp_path / "disc.iso")
    with machine(tmp_path / "a", *usb_guest()) as source, \
            machine(tmp_path / "b", *usb_guest(), incoming=True) as target, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{source.port}",
                          "--spice-share-cd", disc) as view:
        view.wait("device")
        start_from_disc(source)
        view.wait("connected")
        viewer.announce(source, target)
        view.wait("target-connected", timeout=60)
        viewer.migrate(source, target)
        assert view.wait("migrate-done", timeout=60)["manner"] == "seamless"
        last = source.ticks.last()
        target.ticks.wait(last + 20, timeout=60)
        check_disc(source)
        check_disc(target)
        assert len(view.named("device")) == 1, "it was never unplugged"
        assert view.stop() == 0


@pytest.mark.full
@pytest.mark.parametrize("wish", ["there at the start", "plugged in later"])
def test_a_usb_device_is_redirected(tmp_path, wish):
    """The whole way of a real device, with a libusb that has a disc in place of hardware."""
    disc = tmp_path / "disc.iso"
    stand_in = {"LD_LIBRARY_PATH": str(viewer.ROOT / "build" / "release" / "lib" / "virtual-usb"),
                "SEGUE_TEST_USB": str(disc)}
    if wish == "there at the start":
        guest.disc_image(disc)
        option = ("--spice-usbredir-redirect-on-connect", "0x08,-1,-1,-1,1")
    else:
        option = ("--spice-usbredir-auto-redirect-filter", "0x03,-1,-1,-1,0|-1,-1,-1,-1,1")
    with machine(tmp_path / "vm", *usb_guest()) as vm, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}", "--commands", *option,
                          environment=stand_in) as view:
        view.wait("connected")
        if wish == "plugged in later":
            # Between two looks, the first of which has found nothing.
            time.sleep(2)
            assert not view.named("device")
            guest.disc_image(tmp_path / "new.iso").rename(disc)
        assert view.wait("device") == {**view.named("device")[0], "name": "device 1:5",
                                       "there": True}
        start_from_disc(vm)
        check_disc(vm)
        # Out and in again, as usb-device-reset does.
        view.tell("usb-reset")
        assert [view.wait("device", count)["there"] for count in (2, 3)] == [False, True]
        start_from_disc(vm)
        check_disc(vm)
        disc.unlink()
        assert view.wait("device", 4)["there"] is False
        wait_until(lambda: not is_plugged_in(vm), "still there")
        assert view.stop() == 0


@pytest.mark.full
def test_what_the_filter_forbids_stays_here(tmp_path):
    disc = guest.disc_image(tmp_path / "disc.iso")
    stand_in = {"LD_LIBRARY_PATH": str(viewer.ROOT / "build" / "release" / "lib" / "virtual-usb"),
                "SEGUE_TEST_USB": str(disc)}
    with machine(tmp_path / "vm", *usb_guest()) as vm, \
            viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--spice-usbredir-redirect-on-connect",
                          "0x08,0x1b36,-1,-1,0|-1,-1,-1,-1,1", environment=stand_in) as view:
        view.wait("frame")
        time.sleep(2)
        assert not view.named("device")
        assert view.stop() == 0


# --- Smartcards ----------------------------------------------------------------------------------

CERTIFICATES = ("id-cert", "signing-cert", "encryption-cert")
ERROR, READER_ADD, ATR, CARD_REMOVE, APDU = 2, 3, 5, 6, 7


def card_database(directory):
    """An NSS database with three certificates of an authority of its own."""
    database = directory / "nss"
    database.mkdir()

    def certutil(*arguments):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True,
                       capture_output=True)
    certutil("-N", "--empty-password")
    noise = directory / "noise"
    noise.write_bytes(bytes(range(256)))
    certutil("-S", "-x", "-n", "authority", "-s", "CN=authority", "-t", "TC,TC,TC", "-k", "rsa",
             "-g", "2048", "-m", "1", "-z", str(noise))
    for number, name in enumerate(CERTIFICATES, 2):
        certutil("-S", "-n", name, "-s", f"CN={name}", "-c", "authority", "-t", "u,u,u", "-k",
                 "rsa", "-g", "2048", "-m", str(number), "-z", str(noise))
    return database


def vsc(kind, data=b"", reader=0):
    return struct.pack(">III", kind, reader, len(data)) + data


def take_vsc(peer):
    kind, reader, size = struct.unpack(">III", peer.exact(12))
    return kind, reader, peer.exact(size)


@pytest.mark.full
@LIBRARIES
def test_a_card_made_of_certificates_answers_the_guest(tmp_path, library):
    database = card_database(tmp_path)
    ports = vdagent.devices(tmp_path, ("card", "spicevmc,name=smartcard"))
    with machine(tmp_path, *ports, *guest.linux("load=pipe:card:peer", tick=0),
                 library=library) as vm:
        wait_until(lambda: b"pipe ready" in vm.ticks.text(), vm.ticks.text, 120)
        with vdagent.Peer(tmp_path) as peer, \
                viewer.Viewer(tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                              "--spice-smartcard-db", f"sql:{database}",
                              "--spice-smartcard-certificates", ",".join(CERTIFICATES),
                              "--commands") as view:
            # A reader in the guest answers what it is told; the answers number the readers.
            assert take_vsc(peer)[:2] == (READER_ADD, 0)
            peer.send(vsc(ERROR, bytes(4)))
            kind, _, atr = take_vsc(peer)
            assert kind == ATR and atr[0] in (0x3b, 0x3f)
            peer.send(vsc(ERROR, bytes(4)))

            def send(apdu):
                peer.send(vsc(APDU, apdu))
                kind, reader, answer = take_vsc(peer)
                assert (kind, reader) == (APDU, 0)
                return answer
            # The applets of the card's first key, and of none.
            assert send(bytes.fromhex("00a4040007a0000000790100"))[-2] in (0x90, 0x61)
            assert send(bytes.fromhex("00a4040007a0000000ffffff"))[-2:] == b"\x6a\x82"
            assert send(b"\0")[-2] in (0x67, 0x6d, 0x6f), "a cut command"
            # The user takes the card out, and puts it in again.
            view.tell("cards", **{"in": False})
            assert take_vsc(peer)[:2] == (CARD_REMOVE, 0)
            peer.send(vsc(ERROR, bytes(4)))
            view.tell("cards", **{"in": True})
            assert take_vsc(peer)[0] == ATR
            peer.send(vsc(ERROR, bytes(4)))
            assert send(bytes.fromhex("00a4040007a0000000790100"))[-2] in (0x90, 0x61)
            assert view.stop() == 0
