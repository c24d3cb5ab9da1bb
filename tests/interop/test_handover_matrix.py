# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every client follows every server to every other, in every manner, over every line."""
import itertools

import pytest

from handover_cells import ALL, FEW, FILMS, name_of, run_cell, run_film
from test_spice_tls import certificates  # noqa: F401  (a fixture)


@pytest.mark.quick
def test_the_few_cells_have_every_pair():
    """./test runs those: whatever two columns are looked at, all that can meet has met."""
    for one, other in itertools.combinations(range(len(FEW[0])), 2):
        wanted = {(cell[one], cell[other]) for cell in ALL}
        assert wanted <= {(cell[one], cell[other]) for cell in FEW}, (one, other)


@pytest.mark.full
@pytest.mark.parametrize("cell", FEW, ids=name_of)
def test_a_cell(tmp_path, cell, certificates):  # noqa: F811
    run_cell(tmp_path, cell, certificates)


@pytest.mark.soak
@pytest.mark.parametrize("cell", [cell for cell in ALL if cell not in FEW], ids=name_of)
def test_every_other_cell(tmp_path, cell, certificates):  # noqa: F811
    run_cell(tmp_path, cell, certificates)


# Only what comes without a gap is a film: on a busy host that takes its time.
@pytest.mark.soak
@pytest.mark.parametrize("cell", FILMS, ids=name_of)
def test_a_film_plays(tmp_path, cell, certificates):  # noqa: F811
    """It is a video at the source, and goes on as one at the target; when the machine stops, the
    client shows its exact picture."""
    run_film(tmp_path, cell, certificates)
