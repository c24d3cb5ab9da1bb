# SPDX-License-Identifier: LGPL-2.1-or-later
"""A definition becomes a running QEMU, and two QEMUs of one definition are the same machine: the
migration stream of one is accepted by the other."""
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

import guest

PROGRAM = Path(__file__).resolve().parents[2] / "build" / "release" / "bin" / "qemu_run_domain"

DEVICES = """
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
  <target dev='vda' bus='virtio'/><shareable/></disk>
<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>
<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
<serial type='file'><source path='{serial}' append='on'/></serial>
<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
<channel type='unix'><target type='virtio' name='org.test.0'/></channel>
<graphics type='spice' passwd='geheim' passwdValidTo='2035-01-01T00:00:00'>
  <listen type='none'/></graphics>
<video><model type='{video}'/></video><sound model='ich6'/>
<input type='tablet' bus='usb'/><redirdev bus='usb' type='spicevmc'/>
<smartcard mode='passthrough' type='spicevmc'/>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
"""


def definition(tmp_path, host, video="qxl"):
    """Writes the XML for one "host": the same machine, with paths of its own."""
    disk = tmp_path / "disk.img"
    if not disk.exists():
        guest.boot_image(disk, tick_ms=50, dirty_mb_s=5)
    devices = DEVICES.format(disk=disk, serial=tmp_path / host / "serial", video=video)
    path = tmp_path / f"{host}.xml"
    path.write_text(
        "<domain type='qemu'><name>vm</name><uuid>00000000-0000-4000-8000-00000000000a</uuid>"
        "<memory unit='MiB'>48</memory><os><type machine='pc'>hvm</type></os>"
        f"<features><acpi/></features><devices>{devices}</devices></domain>")
    return path


class Host:
    """One QEMU that qemu_run_domain started, paused; stopped by adopting it."""

    def __init__(self, tmp_path, name, xml, *options):
        self.directory = tmp_path / name
        self.directory.mkdir(exist_ok=True)
        self.ticks = guest.Ticks(self.directory / "serial")
        result = subprocess.run([PROGRAM, "start", xml, self.directory, *options], text=True,
                                capture_output=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        self.report = json.loads(result.stdout.splitlines()[-1])
        self.qmp = guest.Qmp(self.report["monitor"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qmp.close()
        subprocess.run([PROGRAM, "stop", self.directory], timeout=60, check=True)


def wait_for(condition, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


@pytest.mark.full
@pytest.mark.parametrize("video", ["qxl", "vga", "virtio"])
def test_two_machines_of_one_definition_migrate(tmp_path, video):
    stream = f"unix:{tmp_path}/stream.sock"
    with Host(tmp_path, "a", definition(tmp_path, "a", video)) as source:
        source.qmp("cont")
        source.ticks.wait(10)
        with Host(tmp_path, "b", definition(tmp_path, "b", video), "--incoming") as target:
            target.qmp("migrate-incoming", uri=stream)
            source.qmp("migrate", uri=stream)
            wait_for(lambda: target.qmp("query-status")["status"] != "inmigrate")
            wait_for(lambda: source.qmp("query-migrate")["status"] == "completed")
            before = source.ticks.last()
            assert target.qmp("query-pci") == source.qmp("query-pci")
            # -S on both: the target waits for the word.
            assert target.qmp("query-status")["running"] is False
            target.qmp("cont")
            target.ticks.wait(before + 10)
            assert source.ticks.gaps_into(target.ticks) == []


@pytest.mark.quick
def test_a_definition_runs_as_it_says(tmp_path):
    xml = definition(tmp_path, "a")
    with Host(tmp_path, "a", xml) as host:
        process = Path("/proc", str(host.report["pid"]))
        command_line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert b"geheim" not in command_line
        assert "geheim" not in host.report["xml"]
        assert host.qmp("query-spice")["auth"] == "spice", "the ticket was set over QMP"
        assert os.stat(host.directory / "vm").st_mode & 0o777 == 0o700
        assert os.stat(host.report["monitor"]).st_mode & 0o777 == 0o600
        assert (host.directory / "vm" / "org.test.0").is_socket()
        assert os.readlink(process / "cwd") == str(host.directory / "vm")
        assert "Seccomp:\t2" in (process / "status").read_text()
        (host.directory / "serial").write_bytes(b"what was there before\n")
        host.qmp("cont")
        host.ticks.wait(3)
        assert host.ticks.text().startswith(b"what was there before\n"), "append='on'"
        assert host.report["ms"] < 5000
    try:
        assert "Z" in (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        pass  # gone altogether


@pytest.mark.quick
def test_what_qemu_says_of_a_failed_start_is_shown(tmp_path):
    xml = definition(tmp_path, "a")
    (tmp_path / "disk.img").unlink()
    (tmp_path / "a").mkdir()
    result = subprocess.run([PROGRAM, "start", xml, tmp_path / "a"], text=True,
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "disk.img" in result.stderr and "No such file" in result.stderr
