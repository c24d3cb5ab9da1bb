# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every verb of virsh that this daemon is to serve, against a running guest, as a user types it."""
import re

import pytest

from hosts import Hosts, wait_until
from machines import Machine
from terminal import Terminal, wait_until_registered

DEVICES = """
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"""
OPEN_THE_TRAY = '{"execute":"blockdev-open-tray","arguments":{"id":"ide0-1-0"}}'

# What is typed, and what the answer must hold; NAME, UUID, DISK, PATH and HERE are filled in.
LOOKING = [
    ("version", r"Running hypervisor: QEMU 7\.2"),
    ("version --daemon", r"Running against daemon: 9\.0\.0"),
    ("hostname", r"^hosta$"),
    ("uri", r"^qemu\+unix:///system\?socket="),
    ("capabilities", r"<domain type='qemu'/>"),
    ("capabilities", r"<emulator>[^<]+</emulator>\s+<machine canonical='pc-i440fx-7.2'"),
    ("domcapabilities", r"<value>virtio</value>"),
    ("domcapabilities", r"<mode name='host-model' supported='yes'>\s+<model fallback='forbid'>"),
    ("domcapabilities", r"<model usable='no'>EPYC</model>"),
    ("nodeinfo", r"CPU\(s\): +\d+"),
    ("nodememstats", r"total +: +\d+ KiB"),
    ("freecell", r"Total: \d+ KiB"),
    ("maxvcpus", r"^\d+$"),
    ("list --all", r"^ 1 +NAME +running$"),
    ("list --uuid", r"^UUID$"),
    ("list --inactive --name", r"^\s*$"),
    ("dumpxml NAME", r"<alias name='net0'/>"),
    ("dumpxml --inactive NAME", r"<name>NAME</name>"),
    ("dumpxml --migratable NAME", r"<name>NAME</name>"),
    ("dominfo NAME", r"^CPU\(s\): +1$"),
    ("domstate NAME --reason", r"^running \(\w+\)$"),
    ("domid NAME", r"^1$"),
    ("domname UUID", r"^NAME$"),
    ("domuuid NAME", r"^UUID$"),
    ("domdisplay NAME", r"^spice://\S+:\d+$"),
    ("ttyconsole NAME", r"^/dev/pts/\d+$"),
    ("vcpuinfo NAME", r"State: +running"),
    ("vcpucount NAME", r"maximum +live +1"),
    ("dommemstat NAME", r"^rss \d+$"),
    ("domstats NAME", r"state\.state=1"),
    ("domstats NAME", r"vcpu\.0\.time=\d+"),
    ("domstats --block", r"block\.0\.name=hda\s+block\.0\.path=DISK\s+block\.0\.rd\.reqs=\d+"),
    ("domblklist NAME --details", r"file +disk +hda +DISK"),
    ("domblkinfo NAME hda", r"Capacity: +\d+"),
    ("domblkstat NAME hda", r"hda rd_bytes \d+"),
    ("domblkstat NAME", r"rd_bytes \d+"),
    ("domiflist NAME", r"user +- +virtio +52:54:00:00:00:01"),
    ("domcontrol NAME", r"^ok$"),
    ("domjobinfo NAME", r"^Job type: +None"),
    ("domif-getlink NAME 52:54:00:00:00:01", r"up"),
    ("qemu-monitor-command NAME --hmp info status", r"VM status: running"),
    ("qemu-monitor-command NAME {\"execute\":\"query-status\"}", r'"status":\s*"running"'),
    ("event --list", r"^migration-iteration$"),
    ("list --title", r"^ 1 +NAME +running *$"),
    ("desc NAME", r"^No description for domain: NAME$"),
    ("desc NAME --title", r"^No title for domain: NAME$"),
    ("net-list --all", r"Name"),
    ("pool-list --all", r"Name"),
]

# In this order: each leaves the guest as the next one finds it.
CHANGING = [
    ("migrate-setspeed NAME 100", r"^\s*$"),
    ("migrate-getspeed NAME", r"^100$"),
    ("migrate-setmaxdowntime NAME 400", r"^\s*$"),
    ("migrate-getmaxdowntime NAME", r"^400$"),
    ("migrate-compcache NAME --size 134217728", r"Compression cache: 128\.000 MiB"),
    ("migrate-compcache NAME", r"Compression cache: 128\.000 MiB"),
    ("autostart NAME", r"marked as autostarted"),
    ("list --autostart --name", r"^NAME$"),
    ("autostart NAME --disable", r"unmarked as autostarted"),
    ("desc NAME --title --new-desc Web", r"updated successfully"),
    ("desc NAME --config --new-desc Later", r"updated successfully"),
    ("list --title", r"^ 1 +NAME +running +Web$"),
    ("desc NAME", r"^No description for domain: NAME$"),
    ("desc NAME --config", r"^Later$"),
    ("dumpxml NAME", r"<title>Web</title>"),
    ("dumpxml --inactive NAME", r"<description>Later</description>"),
    ("metadata NAME http://app.org/ --key app --set <a><b/></a>", r"^Metadata modified$"),
    ("metadata NAME http://app.org/", r"^<a>\s+<b/>\s+</a>$"),
    ("dumpxml NAME", r"<app:a xmlns:app='http://app\.org/'>\s+<app:b/>\s+</app:a>"),
    ("metadata NAME http://app.org/ --key other --set <c/>", r"^Metadata modified$"),
    ("metadata NAME http://app.org/", r"^<c/>$"),
    ("metadata NAME http://two.org/ --config --key two --set <d>1</d>", r"^Metadata modified$"),
    ("dumpxml --inactive NAME", r"<metadata>\s+<two:d xmlns:two='http://two.org/'>1</two:d>"),
    ("metadata NAME http://app.org/ --remove", r"^Metadata removed$"),
    ("suspend NAME", r"suspended"),
    ("domstate NAME --reason", r"^paused \(user\)$"),
    ("resume NAME", r"resumed"),
    ("reset NAME", r"was reset"),
    ("reboot NAME", r"is being rebooted"),
    ("screenshot NAME HERE/screen", r"Screenshot saved"),
    ("shutdown NAME", r"is being shutdown"),
    ("destroy NAME", r"destroyed"),
    ("domstate NAME --reason", r"^shut off \(destroyed\)$"),
    ("vcpuinfo NAME", r"State: +N/A[\s\S]+CPU Affinity: +y+"),
    ("start NAME --paused", r"started"),
    ("domstate NAME", r"^paused$"),
    ("destroy NAME", r"destroyed"),
    ("undefine NAME", r"has been undefined"),
    ("create PATH", r"created from"),
    ("destroy NAME", r"destroyed"),
    ("define PATH", r"defined from"),
    ("undefine NAME", r"has been undefined"),
    ("list --all --name", r"^\s*$"),
]

# Procedures that this daemon has not: an error in libvirt's words, and the connection lives on.
ABSENT = ["managedsave NAME", "snapshot-create NAME", "nodecpustats", "domhostname NAME"]


@pytest.fixture(name="shell")
def host_and_guest(tmp_path):
    """A function that types a verb, and the guest; its serial port is a terminal."""
    with Hosts(1) as (host,):
        machine = Machine(tmp_path, name="v", spice=True, devices=DEVICES)
        machine.path.write_text(re.sub(r"<serial type='file'>.*?</serial>",
                                       "<serial type='pty'><target port='0'/></serial>",
                                       machine.xml))
        host.virsh("define", machine.path)
        host.virsh("start", "v")

        def fill(text):
            for word, value in (("NAME", "v"), ("UUID", machine.uuid), ("DISK", machine.disk),
                                ("PATH", machine.path), ("HERE", tmp_path)):
                text = text.replace(word, str(value))
            return text

        def typed(verb, code=0):
            return host.virsh(*fill(verb).split(" "), code=code)
        yield host, typed, fill


@pytest.mark.quick
def test_a_compression_cache_that_qemu_would_refuse(shell):
    _, typed, _ = shell
    for size in ("0", "3", "4097"):
        assert "power of two" in typed(f"migrate-compcache NAME --size {size}", code=1)


@pytest.mark.quick
def test_verbs_that_look(shell):
    _, typed, fill = shell
    for verb, answer in LOOKING:
        said = typed(verb)
        assert re.search(fill(answer), said, re.M), f"virsh {verb}:\n{said}"
    assert "element is not present" in typed("metadata NAME http://app.org/", code=1)
    assert "validate prefix" in typed("metadata NAME http://app.org/ --key 1: --set <a/>", code=1)
    for verb, what in (("net-info default", "network"), ("pool-info default", "storage pool"),
                       ("vol-info /x.qcow2", "storage vol")):
        assert f"no {what} with matching" in typed(verb, code=1)
    for verb in ABSENT:
        assert "not supported" in typed(verb, code=1), verb


@pytest.mark.quick
def test_verbs_that_change(shell):
    _, typed, fill = shell
    for verb, answer in CHANGING:
        said = typed(verb)
        assert re.search(fill(answer), said, re.M), f"virsh {verb}:\n{said}"


@pytest.mark.quick
def test_the_console_shows_what_the_guest_writes(shell):
    host, _, _ = shell
    with Terminal("virsh", "-c", host.local_uri, "console", "v") as console:
        wait_until(lambda: len(re.findall(r"tick \d+", console.read())) >= 5, 60, "five ticks")
        assert "Connected to domain 'v'" in console.seen
        console.write("\x1d")  # ^]
        assert console.process.wait(60) == 0


@pytest.mark.quick
def test_all_events_of_a_life(shell, tmp_path):
    host, _, _ = shell
    machine = Machine(tmp_path / "told", name="told")
    with Terminal("virsh", "-c", host.local_uri, "event", "--all", "--loop") as watcher:
        wait_until_registered(watcher, host, "v")
        for verb in (["define", machine.path], ["start", "told"], ["suspend", "told"],
                     ["resume", "told"], ["destroy", "told"], ["undefine", "told"]):
            host.virsh(*verb)
        for event in ("Defined Added", "Started Booted", "Suspended Paused", "Resumed Unpaused",
                      "Stopped Destroyed", "Undefined Removed"):
            line = f"event 'lifecycle' for domain 'told': {event}"
            wait_until(lambda: line in watcher.read(), 60, event)
        host.virsh("qemu-monitor-command", "v", OPEN_THE_TRAY)
        wait_until(lambda: re.search(r"event 'tray-change' for domain 'v' disk ide0-1-0: opened",
                                     watcher.read()), 60, "the open tray")
