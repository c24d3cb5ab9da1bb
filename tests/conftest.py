# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every scenario may import: the test guests (tests/guest)."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "guest"))
