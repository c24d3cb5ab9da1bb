# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input against a real daemon, as its users and attackers would bring it: each is answered with
one clear line (and libvirt's error code, where one exists) or ends its own connection; nothing is
lost, memory stays bounded, and everybody else is served."""
import json
import os
import re
import resource
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import libvirt
import pytest

import hostile
from hostile import EXTENSION, Client, Refused, packet, text
from hosts import ROOT, Hosts, wait_until
from machines import Machine

pytestmark = pytest.mark.full

CONFIG_UNSUPPORTED, XML_ERROR, OPERATION_FAILED = 67, 27, 9
SYSTEM_ERROR, INTERNAL, DENIED, NO_SUPPORT, RPC = 38, 1, 29, 3, 39


@pytest.fixture(scope="module", name="host")
def one_host():
    with Hosts(1) as (host,):
        yield host


@pytest.fixture(name="connection")
def libvirt_connection(host):
    libvirt.registerErrorHandler(lambda *_: None, None)
    connection = libvirt.open(host.local_uri)
    yield connection
    for domain in connection.listAllDomains():
        persistent = domain.isPersistent()
        if domain.isActive():
            domain.destroy()
        if persistent:
            domain.undefine()
    connection.close()
    # Whatever came in: the daemon serves, and nothing of it stays.
    assert host.virsh("list", "--all", "--name").strip() == ""
    wait_until(lambda: not host.qemus() and os.listdir(host.state / "domains") == [], 60,
               lambda: f"nothing is left: {host.qemus()}, {os.listdir(host.state / 'domains')}")


def refused(code, words, call, *arguments):
    """The call fails with this code and one line that holds these words."""
    with pytest.raises(libvirt.libvirtError) as caught:
        call(*arguments)
    message = caught.value.get_error_message()
    assert caught.value.get_error_code() == code, message
    assert words in message, message
    assert "\n" not in message and len(message) < 500, message
    return message


def resident_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


# --- definitions


MALFORMED = {"empty": "", "cut off": "<domain", "control characters": "\x01\x02",
             "deep": "<a>" * 60, "long": "x" * 3_000_000,
             "crossed": "<domain type='qemu'><devices></domain>",
             "two roots": "<domain type='qemu'/><domain type='qemu'/>",
             "text around it": "<domain type='qemu'/> and more",
             "unknown entity": "<domain type='qemu'><name>&mine;</name></domain>"}


@pytest.mark.parametrize("how", MALFORMED)
def test_malformed_xml(connection, how):
    refused(XML_ERROR, "domain definition", connection.defineXML, MALFORMED[how])


@pytest.mark.parametrize("change, code, words", [
    (("<vcpu>1<", "<vcpu>-3<"), XML_ERROR, "from 1 to 255, not '-3'"),
    (("MiB'>32<", "MiB'>many<"), XML_ERROR, "memory: 'many'"),
    (("<name>g<", "<name>../g<"), XML_ERROR, "no '/'"),
    (("pc-i440fx-7.2", "pc-i440fx-99.0"), CONFIG_UNSUPPORTED,
     "does not support machine type 'pc-i440fx-99.0'"),
    (("<memballoon model='none'/>", "<memballoon model='warp'/>"), CONFIG_UNSUPPORTED, "'warp'"),
    (("bus='ide'", "bus='warp'"), CONFIG_UNSUPPORTED, "'bus' in element 'target': 'warp'"),
    (("</devices>", "<warpcore/></devices>"), CONFIG_UNSUPPORTED,
     "device <warpcore> is not supported"),
    (("</devices>", "<video><model type='warp'/></video></devices>"), CONFIG_UNSUPPORTED,
     "'type' in element 'model': 'warp'"),
    (("/usr/bin/qemu-system-x86_64", "/nonexistent/qemu"), SYSTEM_ERROR,
     "emulator '/nonexistent/qemu': No such file"),
    (("/usr/bin/qemu-system-x86_64", "/bin/ls"), CONFIG_UNSUPPORTED, "is it a QEMU?"),
    (("</domain>", "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
      "<qemu:arg value='-S'/></qemu:commandline></domain>"), CONFIG_UNSUPPORTED,
     "allow_passthrough = true"),
])
def test_a_definition_that_cannot_be(connection, tmp_path, change, code, words):
    xml = Machine(tmp_path).xml
    assert change[0] in xml
    refused(code, words, connection.defineXML, xml.replace(*change))


# What fits when it comes may not fit any more when it is written down: "&gt;" for each ">".
GROWS = ">" * 1_000_000


def test_a_definition_that_grows_is_refused_and_the_old_one_kept(tmp_path):
    with Hosts(1) as (host,):
        libvirt.registerErrorHandler(lambda *_: None, None)
        connection = libvirt.open(host.local_uri)
        machine = Machine(tmp_path)
        notes = f"<title>{GROWS[:-1]}</title><memory"
        refused(OPERATION_FAILED, "when it is written down: at most 3145728", connection.defineXML,
                machine.xml.replace("<memory", notes))
        domain = connection.defineXML(machine.xml)
        domain.create()
        for flags in (libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG):
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, "short", None, None, flags)
            refused(OPERATION_FAILED, "when it is written down", domain.setMetadata,
                    libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, GROWS, None, None, flags)
        connection.close()
        host.kill()
        host.start()
        assert host.state_of("g") == "running"
        assert host.virsh("desc", "g").strip() == "short"
        assert host.virsh("desc", "--config", "g").strip() == "short"


def test_name_and_uuid_clash(connection, tmp_path):
    machine = Machine(tmp_path)
    connection.defineXML(machine.xml)
    other = machine.xml.replace(machine.uuid, str(uuid.uuid4()))
    refused(OPERATION_FAILED, f"'g' already exists with uuid {machine.uuid}",
            connection.defineXML, other)
    renamed = machine.xml.replace("<name>g<", "<name>other<")
    refused(OPERATION_FAILED, f"'g' is already defined with uuid {machine.uuid}",
            connection.defineXML, renamed)
    assert [domain.name() for domain in connection.listAllDomains()] == ["g"]


# --- starting


def test_a_missing_disk(connection, tmp_path):
    machine = Machine(tmp_path)
    domain = connection.defineXML(machine.xml)
    machine.disk.rename(tmp_path / "elsewhere")
    refused(SYSTEM_ERROR, f"Cannot access storage file '{machine.disk}': No such file or directory",
            domain.create)
    assert not domain.isActive()
    (tmp_path / "elsewhere").rename(machine.disk)
    domain.create()
    machine.ticks.wait(1)


def test_a_port_in_use(host, connection, tmp_path):
    with socket.socket() as other:
        other.bind((host.address, 0))
        other.listen()
        port = other.getsockname()[1]
        machine = Machine(tmp_path, spice=True)
        domain = connection.defineXML(
            machine.xml.replace("autoport='yes'", f"autoport='no' port='{port}'"))
        refused(OPERATION_FAILED, f"domain's graphics: port {port} cannot be used",
                domain.create)
    domain.create()
    machine.ticks.wait(1)


def test_what_qemu_refuses_is_one_line(connection, tmp_path):
    machine = Machine(tmp_path)
    domain = connection.defineXML(machine.xml.replace("type='raw'", "type='qcow2'"))
    message = refused(INTERNAL, "QEMU could not run domain 'g'", domain.create)
    assert "qcow2" in message and "qemu-system" not in message


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_what_is_no_disk_is_refused_at_once(connection, tmp_path, make):
    """QEMU would wait for somebody at the other end of a FIFO."""
    machine = Machine(tmp_path)
    machine.disk.unlink()
    make(machine.disk)
    domain = connection.defineXML(machine.xml)
    began = time.monotonic()
    refused(CONFIG_UNSUPPORTED, f"'{machine.disk}' is neither a file nor a block device",
            domain.create)
    assert time.monotonic() - began < 5


def test_passthrough_is_asked_again_at_the_start(tmp_path):
    """A definition may be older than the setting that forbids it."""
    xml = Machine(tmp_path, extra="<qemu:commandline><qemu:arg value='-no-user-config'/>"
                  "</qemu:commandline>",
                  namespace=" xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'").path
    with Hosts(1, config="[security]\nallow_passthrough = true\n") as (host,):
        host.virsh("define", xml)
        host.stop()
        config = host.folder / "segue.toml"
        config.write_text(config.read_text().replace("= true", "= false"))
        host.start()
        assert "which this host does not allow" in host.virsh("start", "g", code=1)
        # A daemon that starts asks an emulator what it can do: that one goes by itself.
        wait_until(lambda: not host.qemus(), 60, "no QEMU is there")


# --- migrations


def test_migration_to_the_same_host(host, connection, tmp_path):
    machine = Machine(tmp_path)
    connection.createXML(machine.xml)
    machine.ticks.wait(1)
    for words in (["--live"], ["--live", "--p2p"]):
        out = host.virsh("migrate", "--unsafe", *words, "g", host.uri, code=1)
        assert "Attempt to migrate guest to the same host" in out
    seen = machine.ticks.last()
    machine.ticks.wait(seen + 2)


def test_migrations_that_cannot_be_leave_the_guest_alone(tmp_path):
    machine = Machine(tmp_path)
    with Hosts(2) as (one, two):
        one.virsh("create", machine.path)
        machine.ticks.wait(1)

        def fails(words, *arguments):
            out = one.virsh("migrate", "--live", *arguments, code=1).strip()
            assert words in out and len(out.splitlines()) == 1, out
        fails("disk 'hda'", "g", two.uri)  # not shared: error 81
        fails("unable to connect", "--unsafe", "g", f"qemu+tcp://{two.address}:1/system")
        fails("Connection refused", "--unsafe", "--p2p", "g", f"qemu+tcp://{two.address}:1/system")
        fails("Connection refused", "--unsafe", "g", two.uri, f"tcp://{one.address}:1")
        fails("Cannot assign requested address", "--unsafe", "g", two.uri, "--listen-address",
              "192.0.2.1")
        fails("must be an address or a host name", "--unsafe", "g", two.uri, "--listen-address",
              "127.0.0.1:1,to=9")
        fails("without '/'", "--unsafe", "g", two.uri, "--dname", "a/b")
        fails("unsupported scheme rdma", "--unsafe", "g", two.uri, "rdma://x")
        # The destination has the uuid under another name, or the name under another uuid.
        two.virsh("define", machine.path)
        fails("'g' is already defined with uuid", "--unsafe", "g", two.uri, "--dname", "q")
        two.virsh("undefine", "g")
        other = tmp_path / "other.xml"
        other.write_text(machine.xml.replace(machine.uuid, str(uuid.uuid4())))
        two.virsh("define", other)
        fails("'g' already exists with uuid", "--unsafe", "g", two.uri)
        two.virsh("undefine", "g")
        # A host that pretends to be another one: two daemons with one UUID.
        with Hosts(1, options=["--host-uuid", read_uuid(one)]) as (twin,):
            fails("same host", "--unsafe", "g", twin.uri)
        assert one.virsh("domstate", "g", "--reason").strip() == "running (booted)"
        assert two.virsh("list", "--all", "--name").strip() == ""
        wait_until(lambda: not two.qemus() and os.listdir(two.state / "domains") == [], 60,
                   lambda: f"nothing is left: {two.qemus()}, {os.listdir(two.state / 'domains')}")
        assert machine.ticks.gaps() == []
        one.virsh("migrate", "--live", "--unsafe", "g", two.uri)
        machine.ticks.wait(machine.ticks.last() + 2)


def read_uuid(host):
    return (host.state / "host-uuid").read_text().strip()


# --- the state directory


@pytest.fixture(name="small_disk")
def small_tmpfs():
    """A file system of a megabyte, under a path that is short enough for sockets."""
    place = Path(tempfile.mkdtemp(prefix="segue-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "segue-test", place],
                   check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()


def test_a_full_disk_in_the_state_directory(small_disk, tmp_path):
    """What cannot be written down is refused; what was written, and what runs, stays."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    machine = Machine(tmp_path / "guest")
    with Hosts(1) as (host,):
        host.stop()
        host.arguments[host.arguments.index("--state") + 1] = str(small_disk)
        host.state = small_disk
        host.start()
        host.virsh("define", machine.path)
        host.virsh("start", "g")
        machine.ticks.wait(1)
        with open(small_disk / "ballast", "wb", buffering=0) as ballast:
            with pytest.raises(OSError):
                while True:
                    ballast.write(b"x" * 4096)
        connection = libvirt.open(host.local_uri)
        kept = 0
        for number in range(200):
            xml = machine.xml.replace("<name>g<", f"<name>n{number}<").replace(
                machine.uuid, str(uuid.uuid4()))
            try:
                connection.defineXML(xml)
                kept += 1
            except libvirt.libvirtError as error:
                message = error.get_error_message()
                assert error.get_error_code() == OPERATION_FAILED, message
                assert "segue.db" in message and "free space in the state directory" in message
                break
        else:
            pytest.fail("the disk never was full")
        other = Machine(tmp_path / "other", name="other")
        with pytest.raises(libvirt.libvirtError) as caught:
            connection.createXML(other.xml)
        assert re.search("No space left|free space", str(caught.value)), caught.value
        # Nothing is half there, and the daemon tells what it has.
        assert len(connection.listAllDomains()) == kept + 1
        seen = machine.ticks.last()
        machine.ticks.wait(seen + 2)
        os.unlink(small_disk / "ballast")
        connection.createXML(other.xml)
        other.ticks.wait(1)
        connection.close()
        host.kill()
        host.start()
        assert host.state_of("g") == host.state_of("other") == "running"
        assert len(host.virsh("list", "--all", "--name").split()) == kept + 2
        assert machine.ticks.gaps() == []


# --- packets


BAD_PACKETS = {
    "nothing but zeros": b"\0" * 64,
    "a length of 4 GiB": b"\xff\xff\xff\xff",
    "a length of 2 GiB": struct.pack(">I", 1 << 31) + b"x" * 100,
    "a length below the header": struct.pack(">I", 27) + b"x" * 27,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 200,
    "an unknown type": packet(hostile.AUTH_LIST, kind=77),
    "an unknown status": packet(hostile.AUTH_LIST, status=9),
    "a reply from a client": packet(hostile.AUTH_LIST, kind=hostile.REPLY),
    "descriptors that never come": packet(hostile.AUTH_LIST, struct.pack(">I", 33), kind=4),
}


@pytest.mark.parametrize("name", BAD_PACKETS)
def test_a_packet_that_is_none_ends_its_connection(host, name):
    before = resident_kib(host.process)
    with Client(host.socket) as neighbour:
        with Client(host.socket, is_open=False) as bad:
            bad.send(BAD_PACKETS[name])
            assert bad.is_closed()
        neighbour.call(hostile.GET_HOSTNAME)
    assert resident_kib(host.process) < before + 4096


def test_every_truncation_waits_or_ends_and_harms_nobody(host):
    whole = packet(hostile.CONNECT_OPEN, struct.pack(">I", 1) + text("qemu:///system")
                   + struct.pack(">I", 0))
    held = []
    for size in range(len(whole)):
        client = Client(host.socket, is_open=False)
        client.send(whole[:size])
        if size % 2:
            client.socket.shutdown(socket.SHUT_WR)
            assert client.is_closed()
        held.append(client)
    with Client(host.socket) as neighbour:
        neighbour.call(hostile.GET_HOSTNAME)
    for client in held:
        client.socket.close()


def test_a_body_that_lies_is_an_error_and_the_connection_lives(host):
    domain = text("g") + b"u" * 16 + struct.pack(">i", -1)
    with Client(host.socket) as client:
        for procedure, body in [
                (23, struct.pack(">I", 0xffffffff)),            # a name of 4 GiB
                (23, struct.pack(">I", 100) + b"short"),
                (23, text("x") + b"more"),                      # bytes behind the end
                (10, struct.pack(">I", 4 << 20)),               # XML that is announced only
                (344, struct.pack(">I", 0xffffffff) + b"\0" * 8),  # 4 Gi domains
                (14, b""), (14, domain)]:
            with pytest.raises(Refused) as caught:
                client.call(procedure, body)
            assert caught.value.code == RPC, (procedure, caught.value)
        with pytest.raises(Refused) as caught:
            client.call(9999)
        assert caught.value.code == NO_SUPPORT
        with pytest.raises(Refused) as caught:
            client.call(1, program=0x20008088)
        assert caught.value.code == RPC
        client.call(hostile.GET_HOSTNAME)


# --- crowds, and clients that do not read


def flood(host, count):
    """So many connections that say nothing; fewer where the kernel gives no more descriptors."""
    held = []
    for _ in range(count):
        try:
            one = socket.socket(socket.AF_UNIX)
            held.append(one)
            connect_in_turn(one, host, time.monotonic() + 60)
            one.settimeout(60)
        except OSError:
            break
    return held


def connect_in_turn(one, host, end):
    """Connects, and waits where the kernel's queue of the daemon is full."""
    one.setblocking(False)
    while True:
        try:
            return one.connect(str(host.socket))
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def test_ten_thousand_connections(host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_100
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, wanted + 1000)), hard))
    before = resident_kib(host.process)
    try:
        with Client(host.socket) as early:
            held = flood(host, wanted)
            try:
                # Only where this process itself may not have as many are there fewer.
                assert len(held) >= min(wanted - 100, hard - 1000), (len(held), hard)
                early.call(hostile.GET_HOSTNAME)
                assert resident_kib(host.process) < before + 16 * len(held)
            finally:
                for one in held:
                    one.close()
        assert host.virsh("hostname").strip() == host.name
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_crowd_leaves_the_daemon_its_descriptors(tmp_path):
    """With few descriptors: clients take a part of them, and a VM starts among the crowd."""
    machine = Machine(tmp_path)
    with Hosts(1) as (host,):
        host.stop()
        host.arguments = ["prlimit", "--nofile=1024:1024", *host.arguments]
        host.start()
        with Client(host.socket, timeout=60) as early:
            held = flood(host, 1100)
            for one in held:  # who has spoken keeps its place
                try:
                    one.sendall(packet(hostile.AUTH_LIST))
                except OSError:
                    pass  # one too many, and a later one had its turn
            for one in held:  # until the daemon has heard each of them
                try:
                    one.recv(4)
                except OSError:
                    pass
            said = host.virsh("hostname", code=1)
            assert re.search(r"there are \d+ connections, which is the limit", said), said
            create = text(machine.xml) + struct.pack(">I", 0)
            early.call(10, create)
            machine.ticks.wait(1)
            assert host.log().count("cannot accept") == 0
            assert "connections, which is the limit" in host.log()
            for one in held:
                one.close()
        assert host.state_of("g") == "running"


def test_a_client_that_never_reads_big_replies(host):
    before = resident_kib(host.process)
    with Client(host.socket) as deaf:
        # The host's capabilities are some tens of kilobytes: far more than anybody is to keep.
        deaf.socket.setblocking(False)
        sent = 0
        try:
            for _ in range(40_000):
                sent += deaf.socket.send(packet(7))
        except BlockingIOError:
            pass
        assert sent > 0
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert host.virsh("hostname").strip() == host.name
        assert resident_kib(host.process) < before + 32 * 1024
        # It was held, not dropped: what it asked for is there when it reads.
        deaf.socket.settimeout(60)
        deaf.answer()
    wait_until(lambda: resident_kib(host.process) < before + 16 * 1024, 60, "memory is given back")


def test_a_client_that_never_reads_its_events(host, connection, tmp_path):
    machine = Machine(tmp_path)
    with Client(host.socket) as deaf:
        deaf.call(316, struct.pack(">iI", 0, 0))  # lifecycle, of every domain
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        before = resident_kib(host.process)
        for _ in range(300):
            connection.defineXML(machine.xml).undefine()
        assert resident_kib(host.process) < before + 20 * 1024
        assert host.virsh("hostname").strip() == host.name


# --- who may do what


def written_procedures():
    """[(program, number, name)] of each procedure that changes something."""
    programs = {"remote": hostile.REMOTE, "migration": hostile.REMOTE, "qemu": hostile.QEMU,
                "extension": hostile.EXTENSION}
    return [(program, int(number), name)
            for area, program in programs.items()
            for name, number in re.findall(r"^procedure (\w+) = (\d+) write",
                                           (ROOT / "src" / "rpc" / f"{area}.schema").read_text(),
                                           re.M)]


@pytest.mark.parametrize("socket_of_its_own", [False, True], ids=["asked-for", "own-socket"])
def test_a_read_only_connection_changes_nothing(host, connection, tmp_path, socket_of_its_own):
    """libvirt's own clients refuse on their side; an attacker does not."""
    machine = Machine(tmp_path)
    connection.createXML(machine.xml)
    machine.ticks.wait(1)
    reference = connection.lookupByName("g")
    domain = text("g") + reference.UUID() + struct.pack(">i", reference.ID())
    procedures = written_procedures()
    assert len(procedures) > 40
    door = f"{host.socket}-ro" if socket_of_its_own else host.socket
    with Client(door, read_only=not socket_of_its_own) as client:
        for program, number, name in procedures:
            with pytest.raises(Refused) as caught:
                client.call(number, domain, program)
            assert caught.value.code == DENIED, (name, caught.value)
        for flags in (1, 8, 9):  # XML with passwords: secure, migratable
            with pytest.raises(Refused) as caught:
                client.call(14, domain + struct.pack(">I", flags))
            assert caught.value.code == DENIED
        # It starts emulators and looks at files as root: no question for who may only look.
        with pytest.raises(Refused) as caught:
            client.call(1, text("arrival") + text(json.dumps({"xml": machine.xml})), EXTENSION)
        assert caught.value.code == NO_SUPPORT
        client.call(14, domain + struct.pack(">I", 0))
    assert reference.state()[0] == libvirt.VIR_DOMAIN_RUNNING


def test_everybody_may_look_through_the_read_only_socket(host, tmp_path):
    machine = Machine(tmp_path, name="seen", spice=True, password="geheim")
    host.virsh("create", machine.path)
    door = f"{host.socket}-ro"
    assert os.stat(door).st_mode & 0o777 == 0o666
    assert os.stat(host.socket).st_mode & 0o007 == 0
    os.chmod(host.folder.parent, 0o755)

    def as_nobody(*words, socket=door):
        return subprocess.run(
            ["virsh", "-r", "-c", f"qemu+unix:///system?socket={socket}", *words],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            cwd="/", env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            **({"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}))
    assert "seen" in as_nobody("list").stdout
    shown = as_nobody("dumpxml", "seen")
    assert "<name>seen</name>" in shown.stdout and "geheim" not in shown.stdout
    assert as_nobody("domdisplay", "seen").stdout.startswith("spice://")
    for words in (("destroy", "seen"), ("suspend", "seen"), ("dumpxml", "--security-info", "seen")):
        refused = as_nobody(*words)
        assert refused.returncode == 1 and "operation forbidden" in refused.stderr, words
    if os.getuid() == 0:
        assert "Permission denied" in as_nobody("list", socket=host.socket).stderr
    assert host.state_of("seen") == "running"
