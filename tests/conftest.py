# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every test may import: the test guests, and what the scenarios and the peers share."""
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent / room)
                for room in ("guest", "scenario", "interop")]


def pytest_collection_modifyitems(items):
    """What is long by its nature has no bound (pytest.ini has that of the others)."""
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(0))
