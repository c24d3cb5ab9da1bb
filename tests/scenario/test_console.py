# SPDX-License-Identifier: LGPL-2.1-or-later
"""A console on virtio-serial, with a shell of a real Linux behind it: `virsh console` works on it, and
it moves."""
import re

import pytest

import guest
from hosts import Hosts, wait_until
from machines import Machine
from terminal import Terminal

CONSOLE = "<console type='pty'><target type='virtio' port='0'/></console>"


def linux_with_a_console(folder):
    machine = Machine(folder, name="c", memory=128, devices=CONSOLE)
    words = "console=ttyS0 quiet no_timer_check tick=50 hvc"
    machine.path.write_text(machine.xml.replace(
        "<boot dev='hd'/>", f"<kernel>{guest.kernel()}</kernel><initrd>{guest.initramfs()}</initrd>"
                            f"<cmdline>{words}</cmdline>"))
    return machine


def says(console, typed, expected):
    # What is typed before is flushed away when virsh takes the terminal over.
    wait_until(lambda: "Escape character is" in console.read(), 60, "virsh is connected")
    seen = len(console.read())
    console.write(typed + "\n")
    wait_until(lambda: expected in console.read()[seen:], 120, f"the answer to {typed}")


def open_console(host):
    return Terminal("virsh", "-c", host.local_uri, "console", "c", "--devname", "console1")


def seen_by_the_guest(host):
    """The definition that travels. A console's port is its place in the text that was read, as
    libvirt has it: the view of the serial line, which is there unasked, comes before it."""
    return re.sub(r"(type='virtio' port=)'\d+'", r"\1", host.virsh("dumpxml", "--migratable", "c"))


@pytest.mark.full
def test_a_virtio_console_works_and_moves(tmp_path):
    machine = linux_with_a_console(tmp_path)
    with Hosts(2) as (one, two):
        one.virsh("define", machine.path)
        one.virsh("start", "c")
        wait_until(lambda: b"guest ready" in machine.ticks.text(), 180, "Linux is up")
        with open_console(one) as console:
            says(console, "x=$((6 * 7)); echo it is $x", "it is 42")
        assert "<alias name='console1'/>" in one.virsh("dumpxml", "c")
        before = seen_by_the_guest(one)
        one.virsh("migrate", "--live", "--p2p", "--unsafe", "--persistent", "--undefinesource",
                  "c", two.uri)
        assert seen_by_the_guest(two) == before
        with open_console(two) as console:
            says(console, "echo and still $x", "and still 42")
        assert machine.ticks.gaps() == []
