# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every test may import: the test guests, and what the scenarios and the peers share."""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent / room)
                for room in ("guest", "scenario", "interop")]
