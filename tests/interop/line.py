# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-line before a port: distance and width between a client and a server."""
import json
import subprocess
from pathlib import Path

from hosts import read_line

PROGRAM = Path(__file__).resolve().parents[2] / "build" / "release" / "bin" / "segue-line"


class Line:
    """Listens on `port`, a port of its own; a context manager."""

    def __init__(self, target, rtt_ms=0, bytes_per_second=0, host="127.0.0.1"):
        self.process = subprocess.Popen(
            [PROGRAM, "tcp:127.0.0.1:0", f"tcp:{host}:{target}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        listening = json.loads(read_line(self.process.stdout))["listening"]
        self.port = int(listening.rsplit(":", 1)[1])
        if rtt_ms:
            self.tell(f"delay {rtt_ms // 2}")
        if bytes_per_second:
            self.tell(f"rate {bytes_per_second}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def tell(self, words):
        """`cut`, `drop`, `mend`, …: see segue-line. Done when this returns."""
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return json.loads(read_line(self.process.stdout))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
