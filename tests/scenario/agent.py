# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drives segue-agent between a stock QEMU and a segue-standby, and an Ethernet-over-UDP peer."""
import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import guest
import standby as sb
from hosts import free_port

PROGRAM = sb.PROGRAM.with_name("segue-agent")
KEY = "00112233445566778899aabbccddeeff"
GUEST, OUTSIDE = "10.0.0.2", "10.0.0.1"
OUTSIDE_MAC = bytes.fromhex("525400000001")
DISK_BYTES = 16 << 20
SO_RCVBUFFORCE = 33  # Linux


class UdpOutside:
    """The peer of `-netdev socket,udp=`: answers ARP, collects the guest's numbered datagrams."""

    def __init__(self, address=OUTSIDE):
        self.address = socket.inet_aton(address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # What comes while this process has no turn must not be lost: as root, beyond the limit.
        for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, option, 16 << 20)
                break
            except PermissionError:
                continue
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        # Bound by a QEMU that starts later, and by one that takes over from it.
        self.guest_port = free_port(kind=socket.SOCK_DGRAM)
        self.numbers, self.senders = [], set()
        self.came = {}  # number: when, by the wall clock
        self.closed = False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        self.socket.settimeout(0.5)
        while not self.closed:
            try:
                frame, sender = self.socket.recvfrom(70000)
            except socket.timeout:
                continue
            except OSError:
                return
            self.frame(frame, sender)

    def frame(self, frame, sender):
        kind = frame[12:14]
        if kind == b"\x08\x06" and frame[20:22] == b"\x00\x01" and \
                frame[38:42] == self.address:
            asker, address = frame[22:28], frame[28:32]
            self.socket.sendto(
                asker + OUTSIDE_MAC + b"\x08\x06" + frame[14:20] + b"\x00\x02" + OUTSIDE_MAC +
                self.address + asker + address, sender)
        found = re.search(rb"seq (\d+)\n", frame) if kind == b"\x08\x00" else None
        if found:
            self.numbers.append(int(found.group(1)))
            self.came[self.numbers[-1]] = time.time()
            self.senders.add(sender)

    def last(self):
        return self.numbers[-1] if self.numbers else 0

    def wait(self, at_least, timeout=sb.PATIENCE):
        end = time.monotonic() + timeout
        while self.last() < at_least:
            assert time.monotonic() < end, f"outside saw {self.numbers[-3:]}, not {at_least}"
            time.sleep(0.02)

    def irregular(self):
        """Neighbours that do not count by one: a gap, a repeat or a step back."""
        return [(a, b) for a, b in zip(self.numbers, self.numbers[1:]) if b != a + 1]

    def must_be_regular(self):
        odd = [(a, self.came[a], b, self.came[b]) for a, b in self.irregular()]
        assert odd == [], f"(number, when, next number, when): {odd}"

    def forget(self):
        """What was heard until now; what is heard meanwhile stays."""
        del self.numbers[:len(self.numbers) - 1]

    def backward(self):
        return [(a, b) for a, b in zip(self.numbers, self.numbers[1:]) if b <= a]

    def close(self):
        self.closed = True
        self.socket.close()


def control(path, /, timeout=sb.PATIENCE, **request):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(timeout)
        peer.connect(str(path))
        peer.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(peer.makefile().readline())


class Agent:
    """A segue-agent process beside a running QEMU; a context manager."""

    def __init__(self, directory, standby, qemu, *options, disk_bytes=DISK_BYTES):
        self.directory = Path(directory)
        self.state = self.directory / "agent"
        disk = ["--disk-bytes", str(disk_bytes)] if disk_bytes else []
        self.argv = [str(PROGRAM), "--state", str(self.state), "--standby", standby, *disk,
                     "--qemu", str(qemu), *options]
        self.process = None

    def __enter__(self):
        with open(self.directory / "agent.log", "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, SEGUE_AGENT_KEY=KEY))
        self.wait(lambda said: said["state"] == "ready")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)

    def ask(self, **request):
        return control(self.state / "control.sock", **request)

    def status(self):
        return self.ask(cmd="status")

    def wait(self, condition, timeout=sb.PATIENCE):
        """The first status for which the condition holds."""
        end, said = time.monotonic() + timeout, None
        while time.monotonic() < end:
            try:
                said = self.status()
                if condition(said):
                    return said
            except OSError:
                assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        raise AssertionError(f"segue-agent: {said}\n{self.log()}")

    def log(self):
        return (self.directory / "agent.log").read_text(errors="replace")

    def plug(self, qmp, netdev, node):
        """What segued does to a running QEMU: the NIC's frames and a mirror of the disk."""
        for name in ("out", "back", "in"):
            path = str(self.state / f"net-{name}.sock")
            qmp("chardev-add", id=name, backend={"type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": path}}, "server": False}})
        qmp("object-add", **{"qom_type": "filter-redirector", "id": "filter-in",
                             "netdev": netdev, "queue": "tx", "indev": "in"})
        qmp("object-add", **{"qom_type": "filter-redirector", "id": "filter-out",
                             "netdev": netdev, "queue": "rx", "indev": "back", "outdev": "out"})
        target = json.dumps({"driver": "nbd", "server": {
            "type": "unix", "path": str(self.state / "disk.sock")}})
        qmp("drive-mirror", **{"job_id": "mirror", "device": node, "target": "json:" + target,
                               "node_name": "leg", "mode": "existing", "sync": "full",
                               "copy_mode": "write-blocking", "on_source_error": "stop",
                               "on_target_error": "stop"})
        qmp.wait_event("BLOCK_JOB_READY", sb.PATIENCE)


def storage(path):
    return json.dumps({"driver": "file", "filename": str(path), "node-name": "storage"})


class Pair:
    """A primary with a NIC and a disk of its own, and everything that protects it."""

    def __init__(self, directory, gate, on_loss="hold"):
        self.directory, self.gate, self.on_loss = directory, gate, on_loss
        self.outside = UdpOutside()
        self.local, self.remote = directory / "local.img", directory / "remote.img"
        for image in (self.local, self.remote):
            image.write_bytes(b"")
            os.truncate(image, DISK_BYTES)
        self.serial = directory / "promoted-serial"
        port, own = self.outside.port, self.outside.guest_port
        self.primary = sb.Primary(
            directory / "p", *guest.linux("no_timer_check", f"load=udp:{OUTSIDE}:9000:100",
                                          "load=disk:/dev/vda:50", f"net={GUEST}/24"),
            "-netdev", f"socket,id=n0,udp=127.0.0.1:{port},localaddr=127.0.0.1:{own}",
            "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:02,romfile=",
            "-blockdev", storage(self.local),
            "-blockdev", '{"driver":"raw","file":"storage","node-name":"format"}',
            "-device", "virtio-blk-pci,drive=format", memory=96)
        leg = '{"driver":"nbd","server":{"type":"unix","path":"x"},"node-name":"storage"}'
        command = [leg if word == storage(self.local) else word
                   for word in map(str, self.primary.command_line(self.serial))]
        options = {"on_loss": on_loss, "disk": f"agent={self.remote}"}
        flags = []
        if gate == "standby":
            options.update(net="agent", net_out=f"udp:127.0.0.1:{port}@127.0.0.1:{own}")
            flags.append("--prestart")
        self.standby = sb.Standby(directory / "s", *flags, vm=command, **options)
        self.standby.argv[1] = "--agent"
        self.agent = None

    def __enter__(self):
        os.environ["SEGUE_AGENT_KEY"] = KEY
        self.primary.__enter__()
        self.standby.__enter__()
        self.outside.wait(5)
        self.agent = Agent(self.directory, self.standby.listen, self.primary.process.pid,
                           "--gate", self.gate, "--on-loss", self.on_loss).__enter__()
        self.agent.plug(self.primary.qmp, "n0", "format")
        self.primary.protect(f"unix:{self.agent.state}/colo.sock", 200)
        self.agent.wait(lambda said: said["state"] == "protected" and said["epoch"] >= 5)
        return self

    def __exit__(self, *_):
        for part in (self.agent, self.standby, self.primary):
            if part:
                part.__exit__()
        self.outside.close()
