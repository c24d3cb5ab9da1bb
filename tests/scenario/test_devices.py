# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines of every shape that a definition may have: each boots from its disk, moves to another
host and back, and is the same machine there."""
import os
import re
import socket
import stat
import subprocess
import sys

import pytest

from hosts import ROOT, Hosts, wait_until
from machines import Machine

CARDS = """
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <interface type='user'><mac address='52:54:00:00:00:02'/><model type='e1000'/></interface>
    <channel type='unix'><target type='virtio' name='org.test.0'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <input type='tablet' bus='usb'/><input type='mouse' bus='virtio'/>
    <sound model='ich9'/><smartcard mode='passthrough' type='spicevmc'/>
    <redirdev bus='usb' type='spicevmc'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"""
VIRTIO_SCSI = "<controller type='scsi' index='0' model='virtio-scsi'/>"
XHCI = "<controller type='usb' index='0' model='qemu-xhci'/>"
VNC = """
    <graphics type='vnc' autoport='yes' passwd='geheim'/><video><model type='virtio'/></video>"""

# Machine type, the boot disk's target, what else the machine has.
SHAPES = {
    "q35": ("q35", "<target dev='sda' bus='sata'/>", CARDS),
    "q35-virtio": ("q35", "<target dev='vda' bus='virtio'/>", VNC),
    "q35-usb": ("q35", "<target dev='sda' bus='usb'/>", VIRTIO_SCSI),
    "scsi": ("pc", "<target dev='sda' bus='scsi'/>", XHCI),
    "virtio-scsi": ("pc", "<target dev='sda' bus='scsi'/>", VIRTIO_SCSI),
    "sata": ("pc", "<target dev='sda' bus='sata'/>", CARDS),
}


def shaped(folder, machine_type, target, devices, spice=False):
    machine = Machine(folder, name="d", memory=48, tick_ms=20, spice=spice, devices=devices)
    xml = machine.xml.replace("machine='pc-i440fx-7.2'", f"machine='{machine_type}'")
    xml = xml.replace("<target dev='hda' bus='ide'/>", target)
    xml = xml.replace("    <memballoon model='none'/>\n", "")
    machine.path.write_text(xml)
    return machine


@pytest.fixture(scope="module", name="pair")
def two_hosts():
    with Hosts(2) as hosts:
        yield hosts


@pytest.fixture(name="clean")
def nothing_is_left(pair):
    yield
    for host in pair:
        host.virsh("destroy", "d", code=None)
    for host in pair:
        wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")


def seen_by_the_guest(host):
    """The definition that travels: addresses, models and controllers."""
    return host.virsh("dumpxml", "--migratable", "d")


@pytest.mark.full
@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_machine_boots_and_travels(pair, tmp_path, shape):
    machine = shaped(tmp_path, *SHAPES[shape], spice=SHAPES[shape][2] is CARDS)
    one, two = pair
    one.virsh("create", machine.path)
    machine.ticks.wait(3, timeout=60)
    before = seen_by_the_guest(one)
    for here, there in ((one, two), (two, one)):
        here.virsh("migrate", "--live", "--p2p", "--unsafe", "d", there.uri)
        machine.ticks.wait(machine.ticks.last() + 3)
        assert seen_by_the_guest(there) == before
    assert machine.ticks.gaps() == []


@pytest.mark.full
@pytest.mark.usefixtures("clean")
def test_a_machine_as_virt_install_writes_it(pair, tmp_path):
    """Controllers without numbers, vmport and more switches, and a socket where we choose."""
    machine = Machine(tmp_path, name="d", tick_ms=20)
    written = (ROOT / "src" / "domain" / "golden" / "virtinst.in.xml").read_text()
    disk = re.search(r"<disk .*?</disk>", machine.xml, re.S)[0].replace(
        "<target dev='hda' bus='ide'/>", "<target dev='vda' bus='virtio'/>")
    serial = re.search(r"<serial .*?</serial>", machine.xml, re.S)[0]
    xml = re.sub(r"<uuid>.*?</uuid>", f"<uuid>{machine.uuid}</uuid>", written)
    xml = xml.replace("<name>virtinst<", "<name>d<").replace('<console type="pty"/>', "")
    xml = xml.replace('<image compression="off"/>',
                      '<listen type="socket"/><image compression="off"/>')
    machine.path.write_text(xml.replace("</devices>", disk + serial + "</devices>"))
    one, two = pair
    one.virsh("define", machine.path)
    one.virsh("start", "d")
    machine.ticks.wait(3, timeout=60)
    before = seen_by_the_guest(one)
    (_, line), = one.guests()
    assert "vmport=off,smm=on" in line and "pmu=off" in line and "vmcoreinfo" in line
    for here, there in ((one, two), (two, one)):
        here.virsh("migrate", "--live", "--p2p", "--unsafe", "--persistent", "--undefinesource",
                   "d", there.uri)
        machine.ticks.wait(machine.ticks.last() + 3)
        assert seen_by_the_guest(there) == before
        place = re.search(r"socket='([^']+)'", there.virsh("dumpxml", "d"))[1]
        assert place.startswith(str(there.state)) and stat.S_ISSOCK(os.stat(place).st_mode)
        assert "socket='" not in there.virsh("dumpxml", "--inactive", "d")
    assert machine.ticks.gaps() == []
    two.virsh("undefine", "d", code=None)
    one.virsh("undefine", "d")


def vnc_answer(challenge, password):
    """What a client answers: DES under the password, each byte with its bits turned round."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode().ljust(8, b"\0")[:8])
    return subprocess.run(
        ["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider", "legacy",
         "-provider", "default"], input=challenge, capture_output=True, check=True).stdout


def log_in(host, password):
    """The word of a VNC server (RFC 6143, 7.1): 0 is welcome."""
    port = re.search(r":(\d+)$", host.virsh("domdisplay", "d").strip())[1]
    with socket.create_connection((host.address, 5900 + int(port)), 60) as line:
        stream = line.makefile("rb")
        line.sendall(stream.read(12))
        assert stream.read(stream.read(1)[0]) == b"\x02", "only with a password"
        line.sendall(b"\x02")
        line.sendall(vnc_answer(stream.read(16), password))
        return int.from_bytes(stream.read(4), "big")


@pytest.mark.full
@pytest.mark.usefixtures("clean")
def test_a_vnc_screen_asks_for_its_password(pair, tmp_path):
    machine = shaped(tmp_path, *SHAPES["q35-virtio"])
    one, two = pair
    one.virsh("create", machine.path)
    machine.ticks.wait(3, timeout=60)
    for host in (one, two):
        assert log_in(host, "geheim") == 0
        assert log_in(host, "falsch") != 0
        (_, line), = host.guests()
        assert "geheim" not in line and "geheim" not in host.virsh("dumpxml", "d")
        if host is one:
            one.virsh("migrate", "--live", "--p2p", "--unsafe", "d", two.uri)
            wait_until(lambda: not one.qemus(), 60, "it is gone here")


def loop_device(image):
    done = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True,
                          text=True, check=True)
    return done.stdout.strip()


@pytest.mark.full
@pytest.mark.usefixtures("clean")
def test_a_block_device_is_a_disk(pair, tmp_path):
    one, two = pair
    machine = shaped(tmp_path, "pc", "<target dev='vda' bus='virtio'/>", "")
    # A disk has whole sectors of any size.
    size = os.path.getsize(machine.disk)
    os.truncate(machine.disk, (size + 4095) // 4096 * 4096)
    device = loop_device(machine.disk)
    try:
        xml = machine.path.read_text().replace("<disk type='file'", "<disk type='block'")
        xml = xml.replace(f"<source file='{machine.disk}'/>", f"<source dev='{device}'/>")
        machine.path.write_text(xml)
        one.virsh("create", machine.path)
        assert re.search(rf"block +disk +vda +{device}", one.virsh("domblklist", "d", "--details"))
        machine.ticks.wait(3, timeout=60)
        one.virsh("migrate", "--live", "--p2p", "--unsafe", "d", two.uri)
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
        two.virsh("destroy", "d")
        wait_until(lambda: not one.qemus() and not two.qemus(), 60, "the device is let go")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


# Prints the first frame from this address that crosses this bridge.
SNIFF = """
import socket, sys
wanted = bytes.fromhex(sys.argv[2].replace(":", ""))
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
line.bind((sys.argv[1], 0))
line.settimeout(60)
print("ready", flush=True)
while line.recv(65536)[6:12] != wanted:
    pass
print("heard", flush=True)
"""


class Network:
    """A network of its own with a bridge, in which hosts live."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        outside = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != outside, 60,
                   "the namespace is there")
        for words in ("set lo up", "add br0 type bridge", "set br0 up mtu 1400"):
            self.run("ip", "link", *words.split())
        # Names and numbers are resolved only where the host has an address beyond loopback.
        self.run("ip", "address", "add", "10.9.9.1/24", "dev", "br0")

    def inside(self, *words):
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--", *map(str, words)]

    def run(self, *words):
        return subprocess.run(self.inside(*words), check=True, capture_output=True,
                              text=True).stdout

    def ports(self):
        return re.findall(r"^\d+: (\S+?):", self.run("ip", "link", "show", "master", "br0"), re.M)

    def close(self):
        self.holder.kill()
        self.holder.wait()


@pytest.fixture(name="network")
def hosts_on_a_bridge():
    network = Network()
    hosts = Hosts(2)
    try:
        for host in hosts.hosts:
            host.arguments = network.inside(*host.arguments)
        with hosts as pair:
            yield network, pair
    finally:
        network.close()


BRIDGED = """
    <interface type='bridge'><mac address='52:54:00:00:00:03'/><source bridge='br0'/>
      <model type='virtio'/><boot order='2'/></interface>
    <interface type='ethernet'><mac address='52:54:00:00:00:04'/>
      <target dev='own0' managed='no'/><model type='e1000'/></interface>"""


@pytest.mark.full
def test_a_card_on_a_bridge(network, tmp_path):
    network, (one, two) = network
    network.run("ip", "tuntap", "add", "own0", "mode", "tap")
    machine = shaped(tmp_path, "pc", "<target dev='vda' bus='virtio'/><boot order='1'/>", BRIDGED)
    machine.path.write_text(machine.path.read_text().replace("<boot dev='hd'/>", ""))
    one.virsh("create", machine.path)
    machine.ticks.wait(3, timeout=60)
    tap, = network.ports()
    assert re.search(rf"{tap} +bridge +br0 +virtio +52:54:00:00:00:03", one.virsh("domiflist", "d"))
    assert "mtu 1400" in network.run("ip", "link", "show", tap), "the bridge's own"
    assert "fe:54:00:00:00:03" in network.run("ip", "link", "show", tap), "never the card's"
    assert tap not in one.virsh("dumpxml", "--migratable", "d")
    # The device of somebody else has one owner: the guest cannot be in two places.
    said = one.virsh("migrate", "--live", "--p2p", "--unsafe", "d", two.uri, code=1)
    assert "own0" in said and "busy" in said, said
    machine.ticks.wait(machine.ticks.last() + 3)
    one.virsh("destroy", "d")
    wait_until(lambda: not network.ports(), 60, "the tap device is gone")


@pytest.mark.full
def test_a_bridged_guest_travels_and_is_heard(network, tmp_path):
    network, (one, two) = network
    devices = BRIDGED[:BRIDGED.index("<interface type='ethernet'>")]
    machine = shaped(tmp_path, "pc", "<target dev='vda' bus='virtio'/><boot order='1'/>", devices)
    machine.path.write_text(machine.path.read_text().replace("<boot dev='hd'/>", ""))
    with subprocess.Popen(
            network.inside(sys.executable, "-c", SNIFF, "br0", "52:54:00:00:00:03"),
            stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout.readline() == "ready\n"
        one.virsh("create", machine.path)
        machine.ticks.wait(3, timeout=60)
        one.virsh("migrate", "--live", "--p2p", "--unsafe", "d", two.uri)
        # QEMU announces the card on the bridge where the guest runs now.
        assert listener.stdout.readline() == "heard\n"
    machine.ticks.wait(machine.ticks.last() + 3)
    assert machine.ticks.gaps() == []
    wait_until(lambda: len(network.ports()) == 1, 60, "one tap device is left")
    # A daemon that comes back finds the guest and its card again.
    two.kill()
    two.start()
    assert re.search(r"bridge +br0 +virtio", two.virsh("domiflist", "d"))
    two.virsh("destroy", "d")
    wait_until(lambda: not network.ports(), 60, "no tap device is left")


@pytest.mark.quick
@pytest.mark.parametrize("interface, why", [
    ("type='bridge'><source bridge='no-such-br'/>", "bridge 'no-such-br' does not exist"),
    ("type='ethernet'><target dev='no-such-tap' managed='no'/>", "'no-such-tap' does not exist"),
    ("type='bridge'>", "No <source> 'bridge' attribute"),
    ("type='bridge'><source bridge='../../etc'/>", "cannot be a network device's name"),
    ("type='network'><source network='default'/>", "interface type 'network' is not supported"),
])
def test_a_network_that_is_not_there(pair, tmp_path, interface, why):
    machine = shaped(tmp_path, "pc", "<target dev='vda' bus='virtio'/>",
                     f"<interface {interface}<model type='virtio'/></interface>")
    assert why in pair[0].virsh("create", machine.path, code=1)
    assert pair[0].state_of("d") == "absent" and not pair[0].guests()


@pytest.mark.quick
@pytest.mark.parametrize("target, devices, why", [
    ("<target dev='hda' bus='ide'/>", "", "ide controllers are unsupported"),
    ("<target dev='vda' bus='virtio'/>", "<controller type='pci' index='0' model='pci-root'/>",
     "must be model='pcie-root'"),
    ("<target dev='vda' bus='virtio'/>",
     "<controller type='pci' index='1' model='pcie-switch-upstream-port'/>", "pcie-switch"),
    ("<target dev='vda' bus='virtio'/><address type='pci' bus='0x00' slot='0x1f' function='0x0'/>",
     "", "double use of PCI Address 0000:00:1f.0"),
])
def test_what_a_q35_machine_cannot_have(pair, tmp_path, target, devices, why):
    machine = shaped(tmp_path, "q35", target, devices)
    assert why in pair[0].virsh("define", machine.path, code=1)
