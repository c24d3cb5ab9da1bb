# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image of a standby equals its primary's memory page for page, late in a protection, under
each load. (test_standby.py looks at the first checkpoints.)"""
import os

import guest
import pytest
import standby as sb
from test_standby import differing_pages
from test_standby_output import GUEST, OUTSIDE, Outside, disk, nic

MEMORY = 96
LOOKS = (1, 3, 10, 30, 100)
LOADS = {
    "idle": [],
    "dirty-20": ["load=dirty:16:20"],
    "dirty-50": ["load=dirty:32:50"],
    "dirty-whole-pages": ["load=dirty:16:20:full"],
    "disk": ["load=disk:/dev/vda:50"],
    "network": [f"load=udp:{OUTSIDE}:9000:200"],
    "all": [f"load=udp:{OUTSIDE}:9000:200", "load=disk:/dev/vda:50", "load=dirty:16:20"],
}


@pytest.mark.soak
@pytest.mark.parametrize("capabilities", [(), ("xbzrle",)], ids=["plain", "xbzrle"])
@pytest.mark.parametrize("load", [*LOADS])
def test_no_page_differs_after_a_hundred_checkpoints(tmp_path, load, capabilities):
    net, out, nbd, image = (tmp_path / name for name in ("net", "out", "nbd", "image.raw"))
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    compared = {}
    primary = sb.Primary(
        tmp_path / "p", *guest.linux("no_timer_check", f"net={GUEST}/24", *LOADS[load], tick=20),
        *nic(net), *disk(nbd), memory=MEMORY)
    with sb.Standby(tmp_path / "s", net=f"unix:{net}", net_out=f"unix:{out}",
                    disk=f"unix:{nbd}={image}") as standby, primary:
        outside = Outside(out)

        def look(word, count):
            if word != sb.LOADED or count not in LOOKS:
                return
            # The primary stands still and waits for this word.
            primary.qmp("pmemsave", val=0, size=MEMORY << 20, filename=str(tmp_path / "memory"))
            answer = standby.control(cmd="dump", block="pc.ram", path=str(tmp_path / "dump"))
            assert "error" not in answer, answer
            compared[count] = (answer["epoch"], differing_pages(
                (tmp_path / "memory").read_bytes(), (tmp_path / "dump").read_bytes()))

        relay = sb.Relay(tmp_path / "relay", tmp_path / "s" / "colo.sock", look)
        primary.ticks.wait(5, sb.PATIENCE)
        if "udp" in "".join(LOADS[load]):
            outside.wait(5)
        primary.protect(f"unix:{relay.path}", 100, capabilities)
        standby.wait("protected")
        standby.wait_epoch(LOOKS[-1] + 2, timeout=1200)
        assert relay.failure is None
        assert compared == {count: (count + 1, []) for count in LOOKS}
