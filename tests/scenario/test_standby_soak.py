# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the primary at each step of the protocol, and (soak) at random times with a NIC and a
disk: the guest goes on, and outside has seen nothing that it does not know."""
import os
import random
import time

import guest
import pytest
import standby as sb
from test_standby_output import GUEST, OUTSIDE, Outside, disk, nic

ROUNDS = int(os.environ.get("SEGUE_SOAK_ROUNDS", "50"))


@pytest.mark.full
@pytest.mark.parametrize("word", [sb.REPLY, sb.RECEIVED, sb.LOADED],
                         ids=["before-reply", "before-received", "before-loaded"])
def test_the_primary_dies_at_a_step(tmp_path, word):
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path, dirty_mb_s=10), memory=64)
    serial = tmp_path / "promoted"

    def die(sent, count):
        if (sent, count) == (word, 4):
            primary.process.kill()

    with primary, sb.Standby(tmp_path / "s", "--prestart", on_loss="promote",
                             vm=primary.command_line(serial)) as standby:
        relay = sb.Relay(tmp_path / "relay", tmp_path / "s" / "colo.sock", die)
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(f"unix:{relay.path}", 100)
        promoted = standby.wait("promoted")
        # A checkpoint that was whole counts, although its primary never heard of it.
        assert promoted["epoch"] == (4 if word == sb.REPLY else 5)
        counted = guest.Ticks(serial)
        counted.wait(counted.wait(1, sb.PATIENCE) + 5, sb.PATIENCE)
        assert counted.gaps() == []
        assert counted.all()[0] <= primary.ticks.last() + 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_primary_dies_at_a_random_time(tmp_path, seed):
    chance = random.Random(seed)
    net, out, nbd, image = (tmp_path / name for name in ("net", "out", "nbd", "image"))
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    primary = sb.Primary(
        tmp_path / "p", *guest.linux("no_timer_check",
                                     f"load=udp:{OUTSIDE}:9000:200", f"net={GUEST}/24",
                                     "load=disk:/dev/vda:50", "load=dirty:16:20", tick=20),
        *nic(net), *disk(nbd), memory=96)
    with sb.Standby(tmp_path / "s", "--prestart", on_loss="promote", net=f"unix:{net}",
                    net_out=f"unix:{out}", disk=f"unix:{nbd}={image}",
                    vm=primary.command_line(tmp_path / "serial")) as standby, primary:
        outside = Outside(out)
        outside.wait(5)
        guest.Ticks(primary.ticks.path, "disk").wait(5, sb.PATIENCE)
        primary.protect(standby.listen, chance.choice([50, 100, 300]))
        standby.wait("protected")
        time.sleep(chance.uniform(0, 2))
        primary.kill()
        standby.wait("promoted")
        outside.wait(outside.numbers[-1] + 30)
        assert outside.irregular() == []
        records = guest.Ticks(tmp_path / "serial", "disk")
        known = records.wait(records.wait(1, sb.PATIENCE) + 5, sb.PATIENCE)
        assert records.gaps() == []
        assert b"BAD" not in records.text()
        assert guest.lost_records(image, known) == []
