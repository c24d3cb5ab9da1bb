# SPDX-License-Identifier: LGPL-2.1-or-later
"""A console on virtio-serial, with a shell of a real Linux behind it: `virsh console` works on it,
it moves, and what the guest does to itself there is seen."""
import contextlib
import os
import re

import pytest

import guest
from hosts import Hosts, wait_until
from machines import Machine
from terminal import Terminal, wait_until_registered

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


@contextlib.contextmanager
def typed_into(place, text):
    """Without a daemon. QEMU looks into a terminal that nobody has open once a second only, and
    sees what was typed while it still is."""
    terminal = os.open(place, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(terminal, text.encode())
        yield
    finally:
        os.close(terminal)


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
        # A daemon that starts again learns anew which terminals its QEMU has.
        assert two.stop() == 0
        two.start()
        with open_console(two) as console:
            says(console, "echo here is $x", "here is 42")
        # The guest switches itself off while no daemon is there to hear it.
        place = re.search(r"<source path='(/dev/pts/\d+)'/>\s*<target type='virtio'",
                          two.virsh("dumpxml", "c"))[1]
        assert two.stop() == 0
        (pid, _), = two.qemus()
        monitor = guest.Qmp(next((two.state / "domains").glob("*/monitor.sock")))
        with typed_into(place, "poweroff -f\n"):
            wait_until(lambda: monitor("query-status")["status"] == "shutdown", 180, "it is off")
        monitor.close()
        two.start()
        wait_until(lambda: not two.qemus(), 60, f"QEMU {pid} is ended")
        assert two.virsh("domstate", "--reason", "c").strip() == "shut off (shutdown)"
        assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_guest_that_sleeps_is_seen(tmp_path):
    machine = linux_with_a_console(tmp_path)

    def sleeps(console):
        console.write("echo mem > /sys/power/state\n")
        wait_until(lambda: host.state_of("c") == "pmsuspended", 60, "it sleeps")

    def wakes():
        host.virsh("qemu-monitor-command", "c", "--hmp", "system_wakeup")
        wait_until(lambda: host.state_of("c") == "running", 60, "it is awake")
        assert host.virsh("domstate", "--reason", "c").strip() == "running (event wakeup)"
        machine.ticks.wait(machine.ticks.last() + 3)

    with Hosts(2) as (host, other):
        host.virsh("create", machine.path)
        wait_until(lambda: b"guest ready" in machine.ticks.text(), 180, "Linux is up")
        with Terminal("virsh", "-c", host.local_uri, "event", "--all", "--loop") as watcher:
            wait_until_registered(watcher, host, "c")
            with open_console(host) as console:
                says(console, "echo it is $((6 * 7))", "it is 42")
                sleeps(console)
                for verb in ("suspend", "resume"):
                    assert "domain is pmsuspended" in host.virsh(verb, "c", code=1)
                wakes()
                for event in ("'pm-suspend' for domain 'c'", "'pm-wakeup' for domain 'c'",
                              "'lifecycle' for domain 'c': PMSuspended Memory",
                              "'lifecycle' for domain 'c': Started Event wakeup"):
                    wait_until(lambda: event in watcher.read(), 60, event)
                sleeps(console)
        assert host.stop() == 0
        host.start()
        assert host.state_of("c") == "pmsuspended"
        wakes()
        with open_console(host) as console:
            says(console, "echo again $((6 * 7))", "again 42")
            sleeps(console)
        # A move that fails changes nothing of it.
        nobody = "qemu+tcp://127.0.0.1:1/system"
        host.virsh("migrate", "--live", "--p2p", "--unsafe", "c", nobody, code=1)
        assert host.state_of("c") == "pmsuspended"
        # QEMU wakes it to move it, while segued has it pause for that.
        host.virsh("migrate", "--live", "--p2p", "--unsafe", "c", other.uri)
        assert other.state_of("c") == "running"
        machine.ticks.wait(machine.ticks.last() + 3)
