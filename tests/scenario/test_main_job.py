# SPDX-License-Identifier: LGPL-2.1-or-later
"""./run, as a user starts it, on programs that are built already."""
import os
import re
import subprocess
import time

import pytest

from hosts import BIN, ROOT


@pytest.mark.full
def test_the_main_job(tmp_path):
    began = time.monotonic()
    done = subprocess.run([ROOT / "run"], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "SEGUE_BIN": str(BIN), "SEGUE_OUT": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 90
    # Both timelines, the screen before and after, and pictures of all of it.
    assert len(re.findall(r"^migration \d: .* virsh took \d+ ms", done.stdout, re.M)) == 2
    assert len(re.findall(r"^ +transferring +source ", done.stdout, re.M)) == 2, done.stdout
    made = {path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 0}
    assert {".png", ".svg", ".jsonl"} <= made, made
    assert "without a gap; the viewer kept its session" in done.stdout, done.stdout
