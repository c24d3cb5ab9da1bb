# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux guest with numbered datagrams and disk records, and a shim against the defects of TCG in
QEMU 7.2, as a domain that `segue protect` can protect."""
import json
import os
import signal
import time
import uuid as uuid_module
from pathlib import Path

import guest
import standby as sb
from agent import DISK_BYTES, GUEST, OUTSIDE, UdpOutside
from hosts import wait_until
from machines import EMULATOR

DOMAIN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{words}</cmdline></os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='udp'>
      <mac address='52:54:00:00:00:02'/>
      <source address='127.0.0.1' port='{port}'><local address='127.0.0.1' port='{own}'/></source>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='{serial}' append='on'/><target port='0'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>{more}
  </devices>{options}
</domain>
"""

SCREEN = """
    <graphics type='spice' autoport='yes'/>
    <video><model type='vga'/></video>"""

# What the test guest's `load=agent:com.redhat.spice.0:copies` speaks at.
AGENT = """
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <channel type='spiceport'><source channel='org.segue.copies'/>
      <target type='virtio' name='copies'/></channel>"""

SECOND = """
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vdb' bus='virtio'/>
    </disk>
    <interface type='udp'>
      <mac address='52:54:00:00:00:03'/>
      <source address='127.0.0.1' port='{port}'><local address='127.0.0.1' port='{own}'/></source>
      <model type='virtio'/>
    </interface>"""
SECOND_GUEST, SECOND_OUTSIDE = "10.0.1.2", "10.0.1.1"


def emulator(folder):
    """QEMU with the shim preloaded: a script of root's own."""
    script = Path(folder) / "qemu-with-shim"
    script.write_text(f"#!/bin/sh\nLD_PRELOAD={sb.shim()} exec {EMULATOR} \"$@\"\n")
    script.chmod(0o755)
    return script


def passthrough(options):
    """Options of QEMU's own: for hosts with allow_passthrough."""
    arguments = "".join(f"<qemu:arg value='{option}'/>" for option in options)
    return f"\n  <qemu:commandline>{arguments}</qemu:commandline>" if options else ""


def empty_disk(path):
    path.write_bytes(b"")
    os.truncate(path, DISK_BYTES)
    return path


class ProtectedMachine:
    """The domain's XML, its peer outside, and what it counts."""

    def __init__(self, folder, name="g", interval=200, load="load=disk:/dev/vda:50",
                 screen=False, second=False, words=(), disk=None, options=(),
                 outside=None, devices=""):
        self.name, self.interval = name, interval
        folder = Path(folder)
        folder.chmod(0o755)
        self.outside = outside or UdpOutside()
        self.disk = disk or empty_disk(folder / "vda.raw")
        self.serial = folder / "serial"
        self.ticks, self.records = guest.Ticks(self.serial), guest.Ticks(self.serial, "disk")
        words = ["console=ttyS0", "quiet", "tick=100", "no_timer_check", *words,
                 f"load=udp:{OUTSIDE}:9000:100", load, f"net={GUEST}/24"]
        more = (SCREEN if screen else "") + devices
        self.second = None
        if second:
            self.second = UdpOutside(SECOND_OUTSIDE)
            more += SECOND.format(disk=empty_disk(folder / "vdb.raw"), port=self.second.port,
                                  own=self.second.guest_port)
            words[-1] += f",{SECOND_GUEST}/24"
            words += [f"load=udp:{SECOND_OUTSIDE}:9000:100", "load=disk:/dev/vdb:50"]
        self.uuid = str(uuid_module.uuid4())
        self.path = folder / f"{name}.xml"
        self.path.write_text(DOMAIN.format(
            name=name, uuid=self.uuid, kernel=guest.kernel(),
            initrd=guest.initramfs(), words=" ".join(words), emulator=emulator(folder),
            disk=self.disk, port=self.outside.port, own=self.outside.guest_port,
            serial=self.serial, more=more, options=passthrough(options)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.outside.close()
        if self.second:
            self.second.close()

    def protect(self, host, standby, *words):
        return host.segue("protect", self.name, "--standby", standby.uri, "--allow-tcg",
                          "--interval", self.interval, *words, timeout=sb.PATIENCE)

    def status(self, host):
        return json.loads(host.segue("--output", "json", "status", self.name))["protection"]

    def wait(self, host, condition, timeout=sb.PATIENCE):
        """The first protection status for which the condition holds."""
        end, said = time.monotonic() + timeout, None
        while time.monotonic() < end:
            said = self.status(host)
            if condition(said):
                return said
            time.sleep(0.1)
        raise AssertionError(f"protection on {host.name}: {said}\n{host.log()[-4000:]}")

    def helper(self, host, program):
        """The process of segue-agent or segue-standby there."""
        found = [pid for pid, line in host.qemus() if line.split()[0].endswith(program)]
        assert len(found) == 1, host.qemus()
        return found[0]

    def qemu(self, host):
        """The process of the one QEMU that runs a guest there."""
        found = [pid for pid, line in host.qemus()
                 if f"guest={self.name}" in line and not line.split()[0].endswith("segue-standby")]
        assert len(found) == 1, host.qemus()
        return found[0]

    def wait_epochs(self, host, count=5):
        reached = self.status(host)["epoch"]
        return self.wait(host, lambda said: said["epoch"] >= reached + count)

    def parties(self, host):
        """Every process of a host that the guest needs; who could tell of its end first."""
        return [host.process.pid, self.helper(host, "segue-agent"), self.qemu(host)]

    def comes_back_unheard(self, host, standby, meanwhile=lambda: None):
        """A host that a lease decides about stops whole, and comes back when its standby runs."""
        stopped = self.parties(host)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: standby.state_of(self.name) == "running", sb.PATIENCE, "it runs")
            meanwhile()
            self.went_on()
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)
        # It asks, is refused, and stands still; outside hears one copy.
        said = self.wait(host, lambda now: now["state"] == "unprotected")
        wait_until(lambda: host.state_of(self.name) == "paused", 60, f"it stands still: {said}")
        self.went_on()
        assert self.status(standby)["state"] == "promoted"

    def went_on(self, more=40):
        """Outside saw no gap and no repeat; the disk misses nothing and knows no future."""
        for outside in filter(None, (self.outside, self.second)):
            outside.wait(outside.last() + more)
            outside.must_be_regular()
        assert b"BAD" not in self.serial.read_bytes()
