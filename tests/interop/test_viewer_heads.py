# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several screens of a guest, each in its own window under Xvfb: pictures, pointer, sizes, and the
clipboard, with an agent whose end the test holds."""
import struct
import time

import cells
import guest
import pytest
import spice_lab
import spice_tap
import vdagent
import viewer
from test_viewer_window import WindowViewer, wait_channels
from xvfb import Screen

LIBRARIES = pytest.mark.parametrize("library", ["stock", "segue"])
AGENT_PORT = "com.redhat.spice.0"
MOUSE_POSITION, MONITORS_CONFIG = 112, 317


def wait_until(test, what, timeout=60):
    end = time.monotonic() + timeout
    while not (found := test()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.1)
    return found


def screendump(vm, device):
    path = vm.directory / f"{device}.ppm"
    vm.qmp("screendump", filename=str(path), device=device)
    return cells.Picture.read(path)


def is_shown(screen, window, expected, path):
    shown = screen.picture(window, path)
    return (shown.width, shown.height, bytes(shown.data)) == expected


def key_of(picture):
    return picture.width, picture.height, bytes(picture.data)


@pytest.mark.full
@LIBRARIES
def test_two_screens_have_two_windows(tmp_path, library):
    arguments = ["-device", "VGA,id=one", "-device", "secondary-vga,id=two",
                 *vdagent.devices(tmp_path, (AGENT_PORT, "spicevmc,name=vdagent")),
                 *guest.linux(f"load=pipe:{AGENT_PORT}:peer", tick=0)]
    with Screen() as screen, viewer.spice_qemu(
            tmp_path, *arguments, environment=spice_lab.environment(library)) as vm:
        wait_until(lambda: b"pipe ready" in vm.ticks.text(), vm.ticks.text, 120)
        with vdagent.Agent(tmp_path) as agent, \
                WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                             "--title", "the guest"):
            wait_channels(vm, 6)
            agent.announce()
            windows = [screen.window(f"the guest \\[{number}:0\\]") for number in (0, 1)]
            # Below each other, neither hides the other.
            screen.run("xdotool", "windowmove", windows[0], "0", "0")
            screen.run("xdotool", "windowmove", windows[1], "0", "410")
            vm.qmp("stop")
            for window, device in zip(windows, ("one", "two")):
                expected = key_of(screendump(vm, device))
                wait_until(lambda: is_shown(screen, window, expected, tmp_path / "window.ppm"),
                           f"the pictures of {device} differ")
            vm.qmp("cont")
            # The pointer is where it is on its own screen.
            for number, window in enumerate(windows):
                screen.run("xdotool", "mousemove", "--window", window, "70", "50")
                screen.run("xdotool", "mousemove", "--window", window, "71", "52")
                place = struct.pack("<II", 71, 52)
                agent.wait(vdagent.MOUSE, 60, lambda data: data[:8] == place
                           and data[12] == number)
            # A window that the user resizes tells the size of both screens.
            screen.run("xdotool", "windowsize", windows[1], "600", "440")
            wanted = struct.pack("<II", 440, 600)
            told = agent.wait(vdagent.MONITORS, 60, lambda data: data[28:36] == wanted)
            assert struct.unpack_from("<I", told)[0] == 2
            left = [struct.unpack_from("<IIIii", told, 8 + 20 * head)[3] for head in (0, 1)]
            assert left[0] == 0 and left[1] == struct.unpack_from("<II", told, 8)[1]


class HeadsTap(spice_tap.Tap):
    """Tells the client of two heads side by side on the display's first surface."""

    told = 0

    def move(self, one):
        client, side, _, messages = self.peers[one]
        super().move(one)
        created = self.of(spice_tap.DISPLAY, spice_tap.SURFACE_CREATE)
        # Between two messages of the display, and nowhere else.
        is_display = messages is self.messages and self.peers.get(one, (0, 0, [0]))[2][0] == 2
        if is_display and len(created) > self.told and not side.data and not side.handshake:
            self.told = len(created)
            self.tell_heads(client, *struct.unpack_from("<III", created[-1].body))

    def tell_heads(self, client, surface, width, height):
        half = width // 2
        body = struct.pack("<HH", 2, 4)
        for number in (0, 1):
            body += struct.pack("<7I", number, surface, half, height, half * number, 0, 0)
        client.sendall(struct.pack("<HI", MONITORS_CONFIG, len(body)) + body)


@pytest.mark.full
def test_two_heads_of_one_surface_have_two_windows(tmp_path):
    with Screen() as screen, viewer.spice_qemu(tmp_path / "vm", "-device", "VGA") as vm:
        # The firmware's own modes come and go: the picture that stays is waited for.
        wait_until(lambda: vm.picture().height == 400, "no text screen")
        with HeadsTap(vm.port) as tap, WindowViewer(
                screen, tmp_path / "view", f"spice://127.0.0.1:{tap.port}", "--title", "guest"):
            wait_channels(vm)
            windows = [screen.window(f"guest \\[0:{number}\\]") for number in (0, 1)]
            screen.run("xdotool", "windowmove", windows[0], "0", "0")
            screen.run("xdotool", "windowmove", windows[1], "0", "410")
            vm.qmp("stop")
            whole = vm.picture()
            half = whole.width // 2
            for number, window in enumerate(windows):
                lines = [bytes(whole.data[(y * whole.width + half * number) * 3:][:half * 3])
                         for y in range(whole.height)]
                expected = (half, whole.height, b"".join(lines))
                wait_until(lambda: is_shown(screen, window, expected, tmp_path / "window.ppm"),
                           f"the picture of head {number} differs")


@pytest.mark.full
def test_a_window_that_was_closed_comes_back(tmp_path):
    with Screen() as screen, viewer.spice_qemu(
            tmp_path / "vm", "-device", "VGA,id=one", "-device", "secondary-vga,id=two") as vm, \
            WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                         "--title", "the guest") as view:
        wait_channels(vm, 6)
        first, second = (screen.window(f"the guest \\[{number}:0\\]") for number in (0, 1))
        screen.run("xdotool", "windowmove", second, "0", "410")

        def seen():
            return sorted(screen.visible("the guest"), key=int)
        both = sorted((first, second), key=int)
        wait_until(lambda: seen() == both, lambda: f"{seen()} are seen, not {both}")
        for gone, left in ((first, second), (second, first)):
            screen.close(gone)
            wait_until(lambda: seen() == [left], lambda: f"{seen()} are seen, not only {left}")
            # Whoever closed it is told how to get it back, in a window that is seen.
            wait_until(lambda: "Shift+F8 brings closed windows back" in screen.run(
                "xdotool", "getwindowname", left), "nobody says how to get it back")
            screen.run("xdotool", "windowfocus", "--sync", left, "key", "shift+F8")
            wait_until(lambda: seen() == both, lambda: f"{seen()} are seen, not {both}")
        # It shows its screen, not what that was.
        vm.qmp("stop")
        expected = key_of(screendump(vm, "two"))
        screen.run("xdotool", "windowmove", second, "0", "410")
        wait_until(lambda: is_shown(screen, second, expected, tmp_path / "window.ppm"),
                   "the window that came back shows something else")
        # Without any window there is nothing left to look at.
        screen.close(first)
        screen.close(second)
        assert view.process.wait(60) == 0


@pytest.mark.full
@LIBRARIES
def test_text_goes_from_clipboard_to_clipboard(tmp_path, library):
    """Of the user's screen, by xclip, and of the guest, by an agent that gives back what it got."""
    arguments = ["-device", "VGA",
                 *vdagent.devices(tmp_path, (AGENT_PORT, "spicevmc,name=vdagent")),
                 *guest.linux(f"load=pipe:{AGENT_PORT}:peer", tick=0)]

    def paste(screen):
        return screen.run("timeout", "5", "xclip", "-selection", "clipboard", "-o")
    with Screen() as screen, viewer.spice_qemu(
            tmp_path, *arguments, environment=spice_lab.environment(library)) as vm:
        wait_until(lambda: b"pipe ready" in vm.ticks.text(), vm.ticks.text, 120)
        # SDL says nothing of what other programs copy on X11: the viewer looks when an agent comes,
        # and when a window of its own is given the keys.
        screen.copy("from the user: \u00e4\u00f6\u00fc")
        with vdagent.Agent(tmp_path) as agent, \
                WindowViewer(screen, tmp_path / "view", f"spice://127.0.0.1:{vm.port}",
                             "--title", "the guest"):
            screen.window("the guest")
            agent.announce()
            agent.wait(vdagent.CLIPBOARD, 60,
                       lambda data: data[8:] == "from the user: \u00e4\u00f6\u00fc".encode())
            agent.clipboard = b"from the guest"
            agent.say(vdagent.GRAB, struct.pack("<BBBBI", 0, 0, 0, 0, vdagent.TEXT))
            wait_until(lambda: paste(screen) == "from the guest", lambda: paste(screen))
