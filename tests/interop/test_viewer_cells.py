# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every cell of viewer_cells.py on `segue-view`: no session is lost, none is shown a picture of
another size, none loses TLS. One sure cell for each row runs in ./test, all of them in the soak."""
import pytest
import viewer_cells

TABLE = viewer_cells.table()
# What may carry a session: a machine that outruns its viewer may leave it a fresh login.
WEAKER = {"seamless": {"seamless", "semi-seamless", "switch-host"},
          "semi-seamless": {"semi-seamless", "switch-host"}, "switch-host": {"switch-host"}}


def check(cell, directory):
    manner, outcome, same, channels = viewer_cells.run_cell(cell, directory)
    assert not outcome["lost"], outcome
    assert same, "the viewer shows another picture than the machine"
    # Over a distance the source may hear too late that its viewer waits at the target.
    if cell.waits and cell.trouble != "port opens late" and not cell.trip_ms:
        assert manner == cell.manner, outcome
    else:
        assert manner in WEAKER[cell.manner]
    if cell.load != "text":
        assert outcome["sizes"] == 1, "a picture of another size was shown"
    if cell.tls:
        assert all(outcome["secure"]) and all(channel["tls"] for channel in channels)
    kinds = {channel["channel-type"] for channel in channels}
    assert {1, 2, 3, 4} <= kinds
    if cell.devices:
        assert {5, 6} <= kinds, "sound"
    if cell.trouble == "late channel":
        assert 10 in kinds, "the port that came late"


@pytest.mark.full
@pytest.mark.parametrize("cell", [cell for cell in TABLE if cell.sure], ids=lambda cell: cell.name)
def test_a_sure_cell_of_each_row(tmp_path, cell):
    check(cell, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("cell", [cell for cell in TABLE if not cell.sure],
                         ids=lambda cell: cell.name)
def test_every_other_cell(tmp_path, cell):
    check(cell, tmp_path)
