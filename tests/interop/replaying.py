# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recordings of displays, replayed on our library or on stock's to a stock client."""
import subprocess
import sys
import time
from pathlib import Path

from hosts import free_port, read_line
from spice_lab import ROOT, Client, environment

sys.path.append(str(ROOT / "tests" / "bench"))
import recordings  # noqa: E402

PROGRAM = ROOT / "build" / "release" / "bin" / "spice-replay"
COMPRESSIONS = {"off": 1, "auto_glz": 2, "auto_lz": 3, "quic": 4, "glz": 5, "lz": 6, "lz4": 7}


def scene(name, directory, seconds):
    """(recording, times) of a scene of this length that is made here, once a directory."""
    path = Path(directory) / f"{name}-{seconds}.rec"
    if not path.exists():
        recordings.SCENES[name](path, seconds)
        recordings.times(path, path.with_suffix(".times"))
    return path, path.with_suffix(".times")


class Replay:
    """One replay. `run()` gives its client's last picture and what it cost."""

    def __init__(self, library, recording, times, **options):
        self.library, self.recording, self.times = library, recording, times
        self.log = Path(recording).with_suffix(f".{library}.log")
        self.options = [f"{name}={value}" for name, value in options.items()]

    def start(self, where):
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                [PROGRAM, self.recording, self.times, str(where), *self.options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment(self.library))
        line = read_line(process.stdout)
        if line != "listening\n":
            process.kill()
            process.wait()
            raise RuntimeError(f"spice-replay on {self.library}: {line!r}")
        return process

    def end(self, process):
        """Microseconds of CPU time: of the library, and of its thread that draws and sends."""
        try:
            out, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        _, library, _, worker = out.split()[-4:]
        return int(library), int(worker)

    def render(self):
        """What is drawn without a client: the pixels of the primary surface, and behind it those
        of each other one that is left."""
        pixels = Path(self.recording).with_suffix(f".{self.library}.pixels")
        socket = Path(self.recording).with_suffix(f".{self.library}.sock")
        with open(self.log, "wb") as log:
            subprocess.run([PROGRAM, self.recording, self.times, socket, f"render={pixels}"],
                           stdout=log, stderr=log, timeout=60, check=True,
                           env=environment(self.library))
        return pixels.read_bytes()

    def run(self, directory, prepare=None):
        # Over TCP: stock compresses nothing for clients on unix sockets.
        port = free_port()
        process = self.start(port)
        try:
            with Client(f"spice://127.0.0.1:{port}") as client:
                client.wait("primary", timeout=60)
                if prepare:
                    prepare(client)
                assert read_line(process.stdout) == "consumed\n"
                picture = self.last_picture(client, directory)
                read = client.tell("bytes")["bytes"]
                streams = self.log.read_text(errors="replace").count("a video of")
                library, worker = self.end(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return {"picture": picture, "bytes": read, "library_us": library, "worker_us": worker,
                "streams": streams}

    def last_picture(self, client, directory):
        """What the client shows when it has been sent nothing new for a while."""
        before, since = None, time.monotonic()
        end = time.monotonic() + 60
        while time.monotonic() - since < 1.5:
            read = client.tell("bytes")["bytes"]
            if read != before:
                before, since = read, time.monotonic()
            assert time.monotonic() < end, "the replay does not come to rest"
            time.sleep(0.1)
        return client.picture(Path(directory) / f"{self.library}.ppm")
