# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kill matrix on real QEMU: one cell for each victim and kind of migration in ./test, all of
them in ./test soak. `python3 tests/scenario/kill_matrix.py` writes the table of results."""
import pytest

from kill_cells import all_cells, quick_cells
from kill_run import Pair, Run


@pytest.fixture(scope="module", name="pairs")
def pairs_by_mode():
    pairs = {}
    yield lambda mode: pairs.setdefault(mode, None) or pairs.update({mode: Pair(mode)}) \
        or pairs[mode]
    for pair in pairs.values():
        pair.close()


def run(pairs, cell, folder):
    pair = pairs(cell.mode)
    try:
        Run(pair, cell, folder).go()
    except BaseException:
        for host in (pair.one, pair.two):
            print(f"--- log of {host.name}\n{host.log()[-6000:]}")
        raise


@pytest.mark.full
@pytest.mark.parametrize("cell", quick_cells(), ids=lambda cell: cell.name)
def test_one_cell_of_each_row(pairs, tmp_path, cell):
    run(pairs, cell, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("cell", [cell for cell in all_cells() if cell not in quick_cells()],
                         ids=lambda cell: cell.name)
def test_every_other_cell(pairs, tmp_path, cell):
    run(pairs, cell, tmp_path)
