# SPDX-License-Identifier: LGPL-2.1-or-later
"""A screen that nobody sees: Xvfb, and real keys and pictures of its windows."""
import os
import subprocess
import time

import cells
from hosts import read_line


class Screen:
    """An Xvfb of its own; a context manager."""

    def __enter__(self):
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as number:
            self.name = ":" + read_line(number).strip()
        self.environment = {**os.environ, "DISPLAY": self.name, "SDL_AUDIODRIVER": "dummy",
                            "SDL_VIDEODRIVER": "x11"}
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def run(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True,
                              timeout=60).stdout

    def copy(self, text):
        """Into the clipboard, by a program that stays until somebody else copies."""
        subprocess.run(["xclip", "-selection", "clipboard"], env=self.environment,
                       input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=True, timeout=60)

    def window(self, name, timeout=60):
        """The number of the window with this in its title, with the keys given to it."""
        end = time.monotonic() + timeout
        while not (found := self.run("xdotool", "search", "--name", name).split()):
            if time.monotonic() > end:
                raise TimeoutError(f"no window '{name}'")
            time.sleep(0.1)
        self.run("xdotool", "windowfocus", "--sync", found[-1])
        return found[-1]

    def picture(self, window, path):
        self.run("import", "-window", window, "-depth", "8", str(path))
        return cells.Picture.read(path)
