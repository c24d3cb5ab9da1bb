# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains for scenario tests, as libvirt's XML: the boot sector guest, and Linux."""
import os
import uuid as uuid_module
from pathlib import Path

import guest

EMULATOR = "/usr/bin/qemu-system-x86_64"

SPICE = """
    <graphics type='spice' autoport='yes'{password}><listen type='address'/></graphics>
    <video><model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1'/></video>"""

DOMAIN = """<domain type='qemu'{namespace}>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>{os}</os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'/>
      <target dev='hda' bus='ide'/>
    </disk>
    <serial type='file'><source path='{serial}' append='on'/><target port='0'/></serial>{devices}
    <memballoon model='none'/>
  </devices>{extra}
</domain>
"""


class Machine:
    """A boot sector guest in a folder: its XML, its counter, and where they are."""

    def __init__(self, folder, name="g", memory=32, spice=False, password=None, devices="",
                 extra="", emulator=EMULATOR, namespace="", **numbers):
        self.name = name
        self.uuid = str(uuid_module.uuid4())
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o755)
        self.disk = guest.boot_image(folder / f"{name}.img", **numbers)
        os.chmod(self.disk, 0o666)
        self.serial = folder / f"{name}.serial"
        self.ticks = guest.Ticks(self.serial)
        if spice:
            secret = f" passwd='{password}'" if password else ""
            devices += SPICE.format(password=secret)
        self.xml = DOMAIN.format(
            name=name, uuid=self.uuid, memory=memory, os="<boot dev='hd'/>", emulator=emulator,
            disk=self.disk, serial=self.serial, devices=devices, extra=extra, namespace=namespace)
        self.path = folder / f"{name}.xml"
        self.path.write_text(self.xml)
