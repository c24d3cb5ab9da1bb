# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-html5 in Chromium goes straight to the port of our library, by WebSocket: it shows what
QEMU shows, and the guest hears its keyboard and its mouse."""
import base64
import re
import time

import guest
import pytest

from browser import Browser, Site
from hosts import wait_until
from spice_lab import Machine

PAGES = "/usr/share/spice-html5"
CANVAS = "document.querySelector('#spice-screen canvas')"
PIXELS = """(() => {
    const canvas = %s;
    if (!canvas) return null;
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let text = '';
    for (let at = 0; at < data.length; at += 32768)
        text += String.fromCharCode.apply(null, data.subarray(at, at + 32768));
    return [canvas.width, canvas.height, btoa(text)];
})()""" % CANVAS


@pytest.fixture(scope="module")
def site():
    with Site(PAGES) as pages:
        yield pages


def go(browser, site, machine, password=""):
    browser.open(f"{site.url}/spice_auto.html?host=127.0.0.1&port={machine.port}"
                 f"&password={password}")


def shown(browser):
    """(width, height, pixels) of the canvas, or None."""
    found = browser.evaluate(PIXELS)
    if found is None:
        return None
    data = base64.b64decode(found[2])
    pixels = bytearray(len(data) // 4 * 3)
    for part in range(3):
        pixels[part::3] = data[part::4]
    return found[0], found[1], bytes(pixels)


def shows_the_machine(browser, machine, timeout=60):
    """Whether the canvas comes to show what QEMU does. The machine must be paused or idle."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        picture = machine.picture()
        if shown(browser) == (picture.width, picture.height, bytes(picture.data)):
            return True
        time.sleep(0.1)
    return False


def complaints(browser):
    """What the client could not do, but for two messages that concern what it does not have."""
    needless = re.compile(r"Unimplemented function \d+\((Inval All Palettes|Display Mark)\)")
    return [line for line in browser.said()
            if re.match("WARNING|ERROR", line) and not needless.search(line)]


@pytest.mark.full
@pytest.mark.parametrize("vga, compression", [
    ("VGA", "auto_glz"), ("qxl-vga", "quic"), ("virtio-vga", "lz"), ("VGA", "off")])
def test_the_canvas_is_the_screen(tmp_path, site, vga, compression):
    disk = guest.boot_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk, vga=vga, options=f"image-compression={compression}",
                 tcp=True) as machine, Browser(tmp_path) as browser:
        machine.wait_frame(2)
        go(browser, site, machine)
        wait_until(lambda: shown(browser), what="a canvas")
        machine.wait_frame(machine.wait_frame(1) + 20)
        machine.qmp("stop")
        assert shows_the_machine(browser, machine), browser.said()
        assert complaints(browser) == []


@pytest.mark.full
def test_its_keys_and_its_mouse_reach_the_guest(tmp_path, site):
    """Behind a ticket, too: what encrypts it is none of OpenSSL's."""
    disk = guest.mouse_disk(tmp_path / "disk.img")
    with Machine(tmp_path, *disk, authentication="", tcp=True) as machine, \
            Browser(tmp_path) as browser:
        machine.qmp("set_password", protocol="spice", password="secret")
        machine.ticks.wait(1)
        go(browser, site, machine, "secret")
        wait_until(lambda: shown(browser), what="a canvas")
        machine.wait_channels([(1, 0), (2, 0), (3, 0), (4, 0)])
        left, top = browser.evaluate(
            f"(r => [r.left, r.top])({CANVAS}.getBoundingClientRect())")
        keys = guest.Ticks(machine.ticks.path, "key")
        mouse = guest.Ticks(machine.ticks.path, "mouse")
        browser.mouse("mouseMoved", left + 100, top + 100)
        browser.evaluate(f"{CANVAS}.focus()")
        browser.key("KeyA", "a", 65)
        wait_until(lambda: keys.all() == [0x1e, 0x9e], what=lambda: f"a key: {keys.all()}")
        browser.mouse("mouseMoved", left + 107, top + 100)
        # A movement is three bytes: buttons and signs, and how far to each side.
        wait_until(lambda: 7 in mouse.all()[1::3], what=lambda: f"a movement: {mouse.all()}")
        browser.mouse("mousePressed", left + 107, top + 100, "left", 1)
        wait_until(lambda: mouse.all()[0::3][-1] & 1, what=lambda: f"a button: {mouse.all()}")
        browser.mouse("mouseReleased", left + 107, top + 100, "left", 0)
        wait_until(lambda: not mouse.all()[0::3][-1] & 1, what=lambda: f"no button: {mouse.all()}")
        assert complaints(browser) == []


@pytest.mark.full
def test_a_wrong_password_is_refused_and_the_right_one_taken(tmp_path, site):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"), authentication="",
                 tcp=True) as machine, Browser(tmp_path) as browser:
        machine.qmp("set_password", protocol="spice", password="secret")
        go(browser, site, machine, "wrong")
        assert browser.wait("Page.javascriptDialogOpening")["message"] == "Password"
        assert machine.channels() == []
        browser.call("Page.handleJavaScriptDialog", accept=True, promptText="secret")
        wait_until(lambda: shown(browser), what="a canvas")
        machine.wait_frame(machine.wait_frame(1) + 3)
        machine.qmp("stop")
        assert shows_the_machine(browser, machine), browser.said()
