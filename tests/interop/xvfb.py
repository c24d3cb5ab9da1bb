# SPDX-License-Identifier: LGPL-2.1-or-later
"""A screen that nobody sees: Xvfb, and real keys and pictures of its windows."""
import ctypes
import os
import subprocess
import time

import cells
from hosts import read_line


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent, in the room of an XEvent."""
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong),
                ("message", ctypes.c_ulong), ("format", ctypes.c_int),
                ("data", ctypes.c_long * 5), ("room", ctypes.c_long * 12)]


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

    def close(self, window):
        """What a window manager says when the user closes a window: WM_DELETE_WINDOW."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long,
                                   ctypes.c_void_p]
        x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
        display = x11.XOpenDisplay(self.name.encode())
        message = ClientMessage(type=33, window=int(window), format=32)
        message.message = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
        message.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        x11.XSendEvent(display, int(window), 0, 0, ctypes.byref(message))
        x11.XCloseDisplay(display)

    def visible(self, name):
        """The windows with this in their titles that are to be seen."""
        return self.run("xdotool", "search", "--onlyvisible", "--name", name).split()

    def picture(self, window, path):
        self.run("import", "-window", window, "-depth", "8", str(path))
        return cells.Picture.read(path)
