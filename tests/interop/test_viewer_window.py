# SPDX-License-Identifier: LGPL-2.1-or-later
"""The viewer's window under Xvfb, with real keys (xdotool), against stock QEMU."""
import signal
import struct
import subprocess
import time

import pytest
import spice_tap
import viewer
from xvfb import Screen

# Windows have no manager here: the one window has the keys.
KEYS = ("-device", "VGA")


class WindowViewer:
    """segue-view with a window on this screen; a context manager."""

    def __init__(self, screen, directory, uri, *options, **environment):
        self.argv = [str(viewer.VIEWER), uri, *options]
        self.environment = {**screen.environment, "SEGUE_LOG": "debug", **environment}
        self.directory = directory

    def __enter__(self):
        self.directory.mkdir()
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment, cwd=self.directory)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)


def wait_channels(vm, count=4, timeout=60):
    end = time.monotonic() + timeout
    while len(vm.qmp("query-spice").get("channels", [])) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{vm.qmp('query-spice')}")
        time.sleep(0.1)


def answer_password(screen, vm):
    """Again, where the first keys came before the box had the focus."""
    for _ in range(5):
        screen.run("xdotool", "key", "ctrl+a")
        screen.run("xdotool", "type", "--delay", "60", "right")
        screen.run("xdotool", "key", "Return")
        try:
            return wait_channels(vm, timeout=60)
        except TimeoutError:
            continue
    raise TimeoutError("the right password does not open the guest")


@pytest.mark.full
def test_a_wrong_password_is_asked_for_again(tmp_path):
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS, password="right") as vm:
        with WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          SEGUE_VIEW_PASSWORD="wrong"):
            screen.window("that password is not the right one")
            answer_password(screen, vm)


@pytest.mark.full
def test_a_server_that_is_somebody_else_is_told_no_password(tmp_path):
    """Whoever is asked for it there learns to type it for anybody."""
    pki = viewer.make_certificates(tmp_path / "pki", "host-a")
    tls_port = viewer.free_port()
    with Screen() as screen, viewer.spice_qemu(
            tmp_path / "vm", *KEYS, password="right",
            spice=f",tls-port={tls_port},x509-dir={pki}/host-a"):
        with WindowViewer(screen, tmp_path / "view", f"spice+tls://127.0.0.1:{tls_port}",
                          f"--spice-ca-file={pki}/ca-cert.pem",
                          "--spice-host-subject=CN=somebody else") as view:
            # It says why, until that is read.
            screen.window("the certificate subject of")
            end = time.monotonic() + 60
            while view.process.poll() is None:
                assert time.monotonic() < end, "Escape does not close it"
                screen.run("xdotool", "key", "Escape")
                time.sleep(0.2)
            assert view.process.poll() == 1


@pytest.mark.full
@pytest.mark.parametrize("quits", ["never", "on-disconnect"])
def test_a_kiosk_ends_with_its_service(tmp_path, quits):
    """Its users cannot end it; whoever started it can."""
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS) as vm:
        with WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--kiosk", f"--kiosk-quit={quits}") as view:
            wait_channels(vm)
            view.process.send_signal(signal.SIGTERM)
            assert view.process.wait(60) == 0


@pytest.mark.full
def test_keys_reach_the_guest_and_hotkeys_the_viewer(tmp_path):
    """SeaBIOS starts again on Ctrl+Alt+Del, however the keys came. Keys that come while it sets up
    its keyboard would cost it that, so it is waited for."""
    log = tmp_path / "bios.log"
    debug = ("-chardev", f"file,id=bios,path={log}",
             "-device", "isa-debugcon,iobase=0x402,chardev=bios")

    def wait_bios(times):
        end = time.monotonic() + 120
        while not log.exists() or log.read_text(errors="replace").count("No bootable") < times:
            assert time.monotonic() < end, log.read_text(errors="replace")[-300:]
            time.sleep(0.1)
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS, *debug) as vm:
        with WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--title", "the guest") as view:
            wait_channels(vm)
            screen.window("the guest")
            for times, keys in enumerate(("ctrl+alt+Delete", "ctrl+alt+End"), 1):
                wait_bios(times)
                screen.run("xdotool", "key", keys)
                vm.qmp.wait_event("RESET", timeout=60)
            screen.run("xdotool", "key", "shift+F9")
            end = time.monotonic() + 60
            while not (view.directory / "segue-view-1.png").exists():
                assert time.monotonic() < end, "no screenshot"
                time.sleep(0.1)


@pytest.mark.full
def test_keys_are_others_in_the_guest(tmp_path):
    """--keymap: one key becomes two, one is blocked, the rest go as they are."""
    shift, f1, key_2, key_a, enter = 0x2a, 0x3b, 0x03, 0x1e, 0x1c
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS) as vm, \
            spice_tap.Tap(vm.port) as tap, \
            WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{tap.port}",
                         "--title", "the guest", "-K", "1=Shift_L+F1,b=,Return=a"):
        wait_channels(vm)
        screen.window("the guest")

        def keys():
            """(code, whether it went down); a key that goes up has the highest bit set, too."""
            found = []
            for message in [m for m in list(tap.sent) if m.channel == spice_tap.INPUTS]:
                if message.number in (101, 102):
                    code = struct.unpack("<I", message.body)[0]
                    found.append((code & 0x7f, message.number == 101))
            return found
        expected = [(shift, True), (f1, True), (f1, False), (shift, False),
                    (key_2, True), (key_2, False), (key_a, True), (key_a, False),
                    (key_2, True), (key_2, False)]

        def typed():
            before, end = len(keys()), time.monotonic() + 15
            screen.run("xdotool", "key", "--delay", "100", "1", "b", "2", "Return", "2")
            while len(keys()) < before + len(expected) and time.monotonic() < end:
                time.sleep(0.1)
            return keys()[before:]
        # The first keys may come before the window has the keyboard.
        assert expected in (typed() for _ in range(5))
        assert enter not in [code for code, _ in keys()]


@pytest.mark.full
def test_buttons_at_the_side_of_a_mouse_are_sent(tmp_path):
    """X counts them as 8 and 9, SPICE as 6 and 7."""
    with Screen() as screen, viewer.spice_qemu(
            tmp_path / "vm", *KEYS, "-usb", "-device", "usb-tablet") as vm, \
            spice_tap.Tap(vm.port) as tap, \
            WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{tap.port}",
                         "--title", "the guest"):
        wait_channels(vm)
        window = screen.window("the guest")

        def buttons():
            """(message, button, those that are down)"""
            return [(message.number, *struct.unpack_from("<BH", message.body))
                    for message in list(tap.sent) if message.channel == spice_tap.INPUTS
                    and message.number in (113, 114)]
        expected = [(113, 6, 1 << 5), (114, 6, 0), (113, 7, 1 << 6), (114, 7, 0)]
        end = time.monotonic() + 60
        while buttons()[-4:] != expected:
            assert time.monotonic() < end, buttons()
            screen.run("xdotool", "mousemove", "--window", window, "100", "100", "click", "8",
                       "click", "9")
            time.sleep(0.5)


@pytest.mark.full
def test_the_window_shows_the_guests_pixels(tmp_path):
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS) as vm:
        with WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--title", "the guest"):
            wait_channels(vm)
            window = screen.window("the guest")
            vm.qmp("stop")
            end = time.monotonic() + 60
            while True:
                shown = screen.picture(window, tmp_path / "window.ppm")
                real = vm.picture()
                if (shown.width, shown.height, shown.data) == (real.width, real.height, real.data):
                    break
                assert time.monotonic() < end, "the pictures differ"
                time.sleep(0.3)


@pytest.mark.full
def test_a_grabbed_pointer_names_its_release_key(tmp_path):
    """Without a tablet the guest needs the pointer for itself."""
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", *KEYS) as vm:
        with WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                          "--title", "the guest"):
            wait_channels(vm)
            window = screen.window("the guest")

            def wait_title(title):
                end = time.monotonic() + 60
                while (now := screen.run("xdotool", "getwindowname", window).strip()) != title:
                    assert time.monotonic() < end, now
                    time.sleep(0.1)
            wait_title("the guest")
            screen.run("xdotool", "mousemove", "--window", window, "100", "100", "click", "1")
            wait_title("the guest (Ctrl+Alt releases)")
            screen.run("xdotool", "keydown", "ctrl", "keydown", "alt", "keyup", "alt", "keyup",
                       "ctrl")
            wait_title("the guest")
