# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups of scenarios of which `./test` runs one member, and `./test soak` every one."""
import pytest


def one_in_full(members, full):
    """`members`: the arguments of each by its name; `full`: the name of the one in `./test`."""
    assert full in members, full
    return [pytest.param(*arguments, id=name,
                         marks=pytest.mark.full if name == full else pytest.mark.soak)
            for name, arguments in members.items()]
