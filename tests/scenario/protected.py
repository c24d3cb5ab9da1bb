# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux guest with numbered datagrams and disk records, and a shim against the defects of TCG in
QEMU 7.2, as a domain that `segue protect` can protect."""
import json
import os
import time
import uuid as uuid_module
from pathlib import Path

import guest
import standby as sb
from agent import DISK_BYTES, GUEST, OUTSIDE, UdpOutside
from machines import EMULATOR

DOMAIN = """<domain type='qemu'>
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
    <memballoon model='none'/>{screen}
  </devices>
</domain>
"""

SCREEN = """
    <graphics type='spice' autoport='yes'/>
    <video><model type='vga'/></video>"""


def emulator(folder):
    """QEMU with the shim preloaded: a script of root's own."""
    script = Path(folder) / "qemu-with-shim"
    script.write_text(f"#!/bin/sh\nLD_PRELOAD={sb.shim()} exec {EMULATOR} \"$@\"\n")
    script.chmod(0o755)
    return script


class ProtectedMachine:
    """The domain's XML, its peer outside, and what it counts."""

    def __init__(self, folder, name="g", interval=200, load="load=disk:/dev/vda:50",
                 screen=False):
        self.name, self.interval = name, interval
        folder = Path(folder)
        folder.chmod(0o755)
        self.outside = UdpOutside()
        self.disk = folder / "vda.raw"
        self.disk.write_bytes(b"")
        os.truncate(self.disk, DISK_BYTES)
        self.serial = folder / "serial"
        self.ticks, self.records = guest.Ticks(self.serial), guest.Ticks(self.serial, "disk")
        words = ["console=ttyS0", "quiet", "tick=100", "no_timer_check",
                 f"load=udp:{OUTSIDE}:9000:100", load, f"net={GUEST}/24"]
        self.uuid = str(uuid_module.uuid4())
        self.path = folder / f"{name}.xml"
        self.path.write_text(DOMAIN.format(
            name=name, uuid=self.uuid, kernel=guest.kernel(),
            initrd=guest.initramfs(), words=" ".join(words), emulator=emulator(folder),
            disk=self.disk, port=self.outside.port, own=self.outside.guest_port,
            serial=self.serial, screen=SCREEN if screen else ""))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.outside.close()

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
                 if f"guest={self.name}" in line and "segue-standby" not in line]
        assert len(found) == 1, host.qemus()
        return found[0]

    def wait_epochs(self, host, count=5):
        reached = self.status(host)["epoch"]
        return self.wait(host, lambda said: said["epoch"] >= reached + count)

    def went_on(self, more=40):
        """Outside saw no gap and no repeat; the disk misses nothing and knows no future."""
        self.outside.wait(self.outside.last() + more)
        assert self.outside.irregular() == []
        assert b"BAD" not in self.serial.read_bytes()
