# SPDX-License-Identifier: LGPL-2.1-or-later
"""Output commit of segue-standby: what outside has seen, a promoted guest knows; and no more."""
import os
import re
import socket
import struct
import subprocess
import threading
import time

import guest
import pytest
import standby as sb
from test_standby import wait_until

GUEST, OUTSIDE = "10.0.0.2", "10.0.0.1"
OUTSIDE_MAC = bytes.fromhex("525400000001")


class Outside:
    """The one peer on --net-out: answers ARP, collects the numbers of the guest's datagrams."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.numbers, self.announced = [], 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        stream = self.socket.makefile("rb")
        while len(head := stream.read(4)) == 4:
            self.frame(stream.read(struct.unpack(">I", head)[0]))

    def frame(self, frame):
        kind = frame[12:14]
        if kind == b"\x80\x35":
            self.announced += 1     # RARP: a promoted QEMU announces its NIC
        if kind == b"\x08\x06" and frame[20:22] == b"\x00\x01" and \
                frame[38:42] == socket.inet_aton(OUTSIDE):
            asker, address = frame[22:28], frame[28:32]
            reply = asker + OUTSIDE_MAC + b"\x08\x06" + frame[14:20] + b"\x00\x02" + \
                OUTSIDE_MAC + socket.inet_aton(OUTSIDE) + asker + address
            self.socket.sendall(struct.pack(">I", len(reply)) + reply)
        found = re.search(rb"seq (\d+)\n", frame) if kind == b"\x08\x00" else None
        if found:
            self.numbers.append(int(found.group(1)))

    def wait(self, at_least, timeout=sb.PATIENCE):
        end = time.monotonic() + timeout
        while not self.numbers or self.numbers[-1] < at_least:
            assert time.monotonic() < end, f"outside saw {self.numbers[-3:]}, not {at_least}"
            time.sleep(0.02)

    def irregular(self):
        """Neighbours that do not count by one: a gap, a repeat or a step back."""
        return [(a, b) for a, b in zip(self.numbers, self.numbers[1:]) if b != a + 1]


def nic(path, kind="stream"):
    if kind == "stream":
        backend = f"stream,id=n0,server=off,addr.type=unix,addr.path={path}"
    else:
        backend = f"dgram,id=n0,local.type=unix,local.path={path}.vm," \
            f"remote.type=unix,remote.path={path}"
    return ["-netdev", backend,
            "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:02,romfile="]


def disk(path):
    return ["-drive", "if=none,id=d0,driver=raw,file.driver=nbd,file.server.type=unix,"
            f"file.server.path={path}", "-device", "virtio-blk-pci,drive=d0"]


@pytest.mark.full
@pytest.mark.parametrize("kind", ["stream", pytest.param("dgram", marks=pytest.mark.soak)])
def test_no_gap_no_repeat_no_step_back(tmp_path, kind):
    net, out = tmp_path / "net", tmp_path / "out"
    primary = sb.Primary(tmp_path / "p", *guest.linux("no_timer_check",
        f"load=udp:{OUTSIDE}:9000:200", f"net={GUEST}/24"), *nic(net, kind), memory=96)
    listener = f"unix:{net}" if kind == "stream" else f"dgram:{net}"
    with sb.Standby(tmp_path / "s", "--prestart", on_loss="promote", net=listener,
                    net_out=f"unix:{out}", vm=primary.command_line(tmp_path / "serial")) as standby:
        outside = Outside(out)
        with primary:
            outside.wait(20)        # unprotected: frames pass
            primary.protect(standby.listen, 200)
            standby.wait("protected")
            standby.wait_epoch(6)
            # Mid-epoch: frames are held now.
            wait_until(lambda: standby.control(cmd="status")["held_frames"])
            primary.kill()
            standby.wait("promoted")
            last = outside.numbers[-1]
            outside.wait(last + 50)
            assert outside.irregular() == []
            assert outside.announced > 0
            assert standby.control(cmd="status")["state"] == "promoted"


@pytest.mark.soak
def test_disk_epochs_are_committed_or_taken_back(tmp_path):
    image, nbd = tmp_path / "image", tmp_path / "nbd"
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    primary = sb.Primary(tmp_path / "p", *guest.linux("no_timer_check", "load=disk:/dev/vda:100"),
                         *disk(nbd),
                         memory=96)
    serial = tmp_path / "serial"
    with sb.Standby(tmp_path / "s", "--prestart", disk=f"unix:{nbd}={image}",
                    vm=primary.command_line(serial)) as standby, primary:
        written = guest.Ticks(primary.ticks.path, "disk")
        written.wait(30, sb.PATIENCE)
        assert max(guest.records(image)) >= 29      # unprotected: straight into the image
        primary.protect(standby.listen, 300)
        standby.wait_epoch(6)
        # Mid-epoch: what the primary has written last is in no committed epoch.
        wait_until(lambda: written.last() > max(guest.records(image)))
        primary.kill()
        lost = standby.wait("lost")
        committed = max(guest.records(image))
        assert guest.lost_records(image) == []
        # An open epoch did not leave; the primary may have died before it printed its last record.
        assert 30 < committed <= written.last() + 1
        assert standby.control(cmd="promote", force=True)["epoch"] == lost["epoch"]
        again = guest.Ticks(serial, "disk")
        known = again.wait(committed + 20, sb.PATIENCE)
        first = again.all()[0]
        # The guest goes on where the image stands: nothing from the future, nothing missing.
        assert first in (committed, committed + 1)
        assert again.gaps() == []
        assert b"BAD" not in again.text()
        assert guest.lost_records(image, known) == []


@pytest.mark.full
def test_stock_nbd_clients_use_the_export(tmp_path):
    image, nbd = tmp_path / "image", tmp_path / "nbd"
    image.write_bytes(b"")
    os.truncate(image, 4 << 20)

    def io(*commands):
        words = [word for command in commands for word in ("-c", command)]
        return subprocess.run(["qemu-io", "-f", "raw", *words, f"nbd+unix:///?socket={nbd}"],
                              capture_output=True, text=True, timeout=60, check=True).stdout

    with sb.Standby(tmp_path / "s", disk=f"unix:{nbd}={image}"):
        text = io("write -P 7 1M 64k", "write -z 2M 4k", "flush", "read -P 7 1M 64k",
                  "read -P 0 2M 4k", "discard 3M 64k", "write -f -P 9 100 7")
        assert "verification failed" not in text
        info = subprocess.run(["qemu-img", "info", f"nbd+unix:///?socket={nbd}"],
                              capture_output=True, text=True, timeout=60, check=True).stdout
        assert "4 MiB" in info
    content = image.read_bytes()
    assert content[1 << 20:(1 << 20) + 65536] == b"\x07" * 65536
    assert content[100:107] == b"\x09" * 7
