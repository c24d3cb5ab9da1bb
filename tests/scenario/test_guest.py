# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guests themselves, on bare QEMUs: what they promise to every other scenario."""
import socket

import pytest

import guest


@pytest.mark.quick
def test_boot_sector_counts_paints_and_dirties(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img", dirty_mb_s=20, tick_ms=50)
    with guest.Qemu(tmp_path / "vm", *disk, "-device", "VGA", memory=32) as vm:
        ticks = vm.ticks.wait(20)
        frame = vm.wait_frame(5)
        vm.qmp("pmemsave", val=8 << 20, size=4096, filename=str(tmp_path / "page"))
        vm.ticks.wait(ticks + 10)
        assert vm.wait_frame(frame + 1) > frame
        assert vm.ticks.gaps() == []
    assert any((tmp_path / "page").read_bytes())


@pytest.mark.quick
def test_boot_sector_counts_on_after_a_migration(tmp_path):
    disk = guest.boot_disk(tmp_path / "disk.img", dirty_mb_s=5, tick_ms=50)
    stream = f"unix:{tmp_path}/stream.sock"
    with guest.Qemu(tmp_path / "a", *disk, "-device", "VGA", memory=32) as source:
        with guest.Qemu(tmp_path / "b", *disk, "-device", "VGA", "-incoming", stream,
                        memory=32) as target:
            source.ticks.wait(10)
            source.qmp("migrate", uri=stream)
            target.qmp.wait_event("RESUME")
            before = source.ticks.last()
            target.ticks.wait(before + 10)
            assert source.ticks.gaps_into(target.ticks) == []
            assert target.wait_frame(1) >= 1


@pytest.mark.full
@pytest.mark.parametrize("adapter", ["VGA", "qxl-vga", "bochs-display"])
def test_linux_loads(tmp_path, adapter):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(120)  # a Linux boots
        port = receiver.getsockname()[1]
        disk = tmp_path / "disk.raw"
        disk.write_bytes(bytes(9 << 20))
        arguments = guest.linux("load=paint:640x480:10", "load=dirty:8:10", "load=disk:/dev/vda:50",
                                f"load=udp:10.0.2.2:{port}:50", "net=10.0.2.15/24")
        with guest.Qemu(tmp_path / "vm", *arguments, "-device", adapter,
                        "-drive", f"file={disk},format=raw,if=virtio",
                        "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0") as vm:
            numbers = [int(receiver.recv(64).split()[1]) for _ in range(20)]
            assert numbers == list(range(numbers[0], numbers[0] + 20))
            vm.ticks.wait(20, 120)
            assert vm.wait_frame(2, 120) >= 2
            written = guest.Ticks(vm.ticks.path, "disk").wait(20, 120)
            assert guest.lost_records(disk, written) == []
            assert vm.ticks.gaps() == [] and b"LOAD FAILED" not in vm.ticks.text()
