# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a domain on one host, driven by the unmodified virsh."""
import json
import os
import re
import signal
import time

import pytest

from hosts import Hosts, wait_until
from machines import Machine


@pytest.fixture(scope="module", name="host")
def one_host():
    with Hosts(1) as (host,):
        yield host


@pytest.fixture(name="machine")
def running_machine(host, tmp_path):
    """A defined and started guest that counts."""
    machine = Machine(tmp_path, name="life", spice=True)
    host.virsh("define", machine.path)
    host.virsh("start", machine.name)
    machine.ticks.wait(2)
    yield machine
    host.virsh("destroy", machine.name, code=None)
    host.virsh("undefine", machine.name, code=None)


@pytest.mark.quick
def test_the_host_answers(host):
    assert "QEMU 7.2" in host.virsh("version")
    assert host.virsh("hostname").strip() == "hosta"
    assert host.virsh("uri").strip() == host.local_uri
    assert "<arch>x86_64</arch>" in host.virsh("capabilities")
    assert re.search(r"CPU\(s\): +\d+", host.virsh("nodeinfo"))
    assert host.virsh("version", uri=host.uri)


@pytest.mark.quick
def test_define_start_look_and_end(host, machine):
    assert re.search(r"^ \d+ +life +running$", host.virsh("list", "--all"), re.M)
    assert host.virsh("domuuid", "life").strip() == machine.uuid
    assert host.virsh("domid", "life").strip().isdigit()
    assert host.virsh("domstate", "life", "--reason").strip() == "running (booted)"
    info = host.virsh("dominfo", "life")
    assert re.search(r"^State: +running$", info, re.M)
    assert re.search(r"^Max memory: +32768 KiB$", info, re.M)
    assert re.search(r"^Persistent: +yes$", info, re.M)
    assert re.search(r"hda +" + re.escape(str(machine.disk)), host.virsh("domblklist", "life"))
    host.virsh("domiflist", "life")
    assert re.search(r"State: +running", host.virsh("vcpuinfo", "life"))
    assert "rss" in host.virsh("dommemstat", "life")
    assert re.search(r"state.state=1", host.virsh("domstats", "life"))
    assert re.match(r"spice://\S+:\d+", host.virsh("domdisplay", "life"))
    assert "Job type: None" in re.sub(" +", " ", host.virsh("domjobinfo", "life"))

    host.virsh("destroy", "life")
    assert host.virsh("domstate", "life", "--reason").strip() == "shut off (destroyed)"
    assert wait_until(lambda: not host.qemus(), 60, "QEMU is gone")
    host.virsh("undefine", "life")
    assert host.state_of("life") == "absent"


@pytest.mark.quick
def test_suspend_stops_the_count_and_resume_continues_it(host, machine):
    host.virsh("suspend", "life")
    assert host.virsh("domstate", "life", "--reason").strip() == "paused (user)"
    time.sleep(0.1)
    stopped = machine.ticks.last()
    time.sleep(0.4)
    assert machine.ticks.last() == stopped
    host.virsh("resume", "life")
    machine.ticks.wait(stopped + 3)
    assert machine.ticks.gaps() == []
    assert host.virsh("domstate", "life", "--reason").strip() == "running (unpaused)"


@pytest.mark.quick
def test_reset_starts_the_count_again(host, machine):
    machine.ticks.wait(5)
    host.virsh("reset", "life")
    wait_until(lambda: any(b < a for a, b in machine.ticks.gaps()), 60, "the count starts again")
    assert host.state_of("life") == "running"


@pytest.mark.quick
def test_the_monitor_is_reached(host, machine):
    answer = json.loads(host.virsh("qemu-monitor-command", "life", '{"execute":"query-status"}'))
    assert answer["return"]["status"] == "running"
    assert "VM status: running" in host.virsh("qemu-monitor-command", "--hmp", "life",
                                              "info status")


@pytest.mark.quick
def test_a_screenshot_shows_the_guest(host, machine, tmp_path):
    target = tmp_path / "screen"
    host.virsh("screenshot", "life", target)
    assert target.stat().st_size > 10000


@pytest.mark.quick
def test_the_xml_has_what_was_assigned(host, machine):
    xml = host.virsh("dumpxml", "life")
    assert "<alias name='ide0-0-0'/>" in xml
    assert "<address type='pci'" in xml
    assert re.search(r"<graphics type='spice' port='\d+'", xml)
    inactive = host.virsh("dumpxml", "--inactive", "life")
    assert "<alias" not in inactive


@pytest.mark.quick
def test_a_guest_that_dies_is_shut_off_with_its_reason(host, machine):
    (pid, _), = host.guests()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: host.state_of("life") == "shut off", 60, "the death is seen")
    assert host.virsh("domstate", "life", "--reason").strip() == "shut off (crashed)"
    host.virsh("start", "life")
    assert host.state_of("life") == "running"


@pytest.mark.quick
@pytest.mark.parametrize("spoil, message", [
    (lambda xml: xml[:200], "not well-formed"),
    (lambda xml: xml.replace("<name>bad</name>", ""), "name"),
    (lambda xml: xml.replace("/bad.img", "/absent.img"), "absent.img"),
    (lambda xml: xml.replace("pc-i440fx-7.2", "pc-i440fx-99"), "pc-i440fx-99"),
    (lambda xml: xml.replace("bus='ide'", "bus='tape'"), "tape"),
], ids=["truncated", "nameless", "missing disk", "machine type", "bus"])
def test_bad_definitions_get_a_clear_error(host, tmp_path, spoil, message):
    machine = Machine(tmp_path, name="bad")
    machine.path.write_text(spoil(machine.xml))
    said = host.virsh("create", machine.path, code=1)
    assert message in said
    assert host.state_of("bad") == "absent"


@pytest.mark.quick
def test_a_restarted_daemon_adopts_its_guests(host, machine):
    uuid = host.virsh("domuuid", "life")
    before = host.virsh("domid", "life")
    assert host.stop() == 0
    host.start()
    assert host.virsh("domuuid", "life") == uuid and host.virsh("domid", "life") == before
    assert host.state_of("life") == "running"
    count = machine.ticks.last()
    machine.ticks.wait(count + 3)
    assert machine.ticks.gaps() == []
    host.virsh("suspend", "life")
    host.kill()
    host.start()
    assert host.state_of("life") == "paused"
    host.virsh("resume", "life")
    machine.ticks.wait(count + 6)

