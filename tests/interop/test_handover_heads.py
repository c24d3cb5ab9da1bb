# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with several displays moves seamlessly: each of them goes on at the client."""
import cells
import guest
import pytest

import qtest_qxl
from handover_cells import wait_until
from spice_lab import Client, Machine, migrate, same_picture

CHANNELS = sorted([(1, 0), (3, 0)] + [(kind, number) for kind in (2, 4) for number in range(3)])
HEADS = {1: "two", 2: "three"}  # by display: the devices that the test itself drives
PAIRS = [pytest.param("segue", "segue", marks=pytest.mark.full),
         pytest.param("segue", "stock", marks=pytest.mark.soak),
         pytest.param("stock", "segue", marks=pytest.mark.soak)]


def machine(directory, library, *more):
    directory.mkdir()
    made = Machine(directory, "-device", "qxl,id=two", "-device", "qxl,id=three",
                   *guest.boot_disk(directory / "disk.img", fps=20), *more, library=library,
                   vga="VGA,id=one", options="seamless-migration=on", tcp=True)
    made.argv += qtest_qxl.arguments(directory / "qtest.sock")
    return made


def wait_same(vm, client, directory, display):
    """Until the client shows this display as QEMU does."""
    def is_same():
        path, shot = directory / f"{HEADS[display]}.ppm", directory / "theirs.ppm"
        vm.qmp("screendump", filename=str(path), device=HEADS[display])
        mine = cells.Picture.read(path)
        if "error" in client.tell(f"shot {shot} {display}"):
            return False  # it has no picture yet
        theirs = cells.Picture.read(shot)
        return (mine.width, mine.height, mine.data) == (theirs.width, theirs.height, theirs.data)
    wait_until(is_same, f"the pictures of display {display} differ")


@pytest.mark.parametrize("source, target", PAIRS)
def test_several_displays(tmp_path, source, target):
    first = machine(tmp_path / "source", source)
    second = machine(tmp_path / "target", target, "-incoming", f"unix:{tmp_path}/migrate.sock")
    with first, second:
        first.wait_frame(2)
        with qtest_qxl.Device(tmp_path / "source/qtest.sock") as two, Client(first.uri) as client:
            three = two.next()
            first.wait_channels(CHANNELS)
            for at in range(8):
                two.icon(11 + at, 20 * at, 40)
                three.icon(31 + at, 20 * at, 80)
            client.linked()
            for display in HEADS:
                wait_same(first, client, tmp_path, display)

            migrate(first, second, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            client.wait("migration", 60, state="none")
            second.wait_channels(CHANNELS)
            first.wait_channels([])
            # What was there, before anything new is drawn.
            for display in HEADS:
                wait_same(second, client, tmp_path, display)
            with two.moved(tmp_path / "target/qtest.sock") as moved:
                other = moved.next(three)
                for at in range(8):
                    moved.icon(11 + at, 20 * at, 120)
                    other.icon(51 + at, 20 * at, 10)
                for display in HEADS:
                    wait_same(second, client, tmp_path, display)
            second.wait_frame(second.wait_frame(1) + 3)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path)
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
