#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stock SPICE viewer (spice-gtk's library) without a screen, like segue-view --headless.

  stock_viewer.py URI --events FILE.jsonl [--screenshot FILE.png] [--seconds N] [--password P]

Writes one JSON object per line, flushed at once: monotonic `t_us` and `event` (connected, frame,
migrate-begin, switch, migrate-done, disconnected, error). SIGUSR1 writes the screenshot at once
(event screenshot), SIGTERM ends it, with the screenshot first.
"""
import argparse
import ctypes
import json
import os
import signal
import struct
import sys
import time
import zlib

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib  # noqa: E402

ON = GObject.GObject.connect  # Session.connect and Channel.connect hide the signal's connect


def write_png(path, width, height, stride, pixels):
    """32 bit xRGB pixels as a PNG."""
    rows = bytearray()
    for y in range(height):
        row = pixels[y * stride:y * stride + width * 4]
        rows.append(0)
        line = bytearray(width * 3)
        line[0::3], line[1::3], line[2::3] = row[2::4], row[1::4], row[0::4]
        rows += line

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    with open(path + ".new", "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n"
                  + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                  + chunk(b"IDAT", zlib.compress(bytes(rows), 6)) + chunk(b"IEND", b""))
    os.rename(path + ".new", path)


class Viewer:
    FRAME_GAP_US = 4000  # invalidates closer than this are one frame

    def __init__(self, options):
        self.options = options
        self.out = open(options.events, "a", encoding="utf-8")
        self.loop = GLib.MainLoop()
        self.primary = None  # width, height, stride, address of the pixels
        self.last_invalidate = 0
        self.code = 0
        self.session = SpiceClientGLib.Session()
        self.session.set_property("uri", options.uri)
        for name in ("enable-audio", "enable-usbredir", "enable-smartcard"):
            self.session.set_property(name, False)
        if options.password:
            self.session.set_property("password", options.password)
        ON(self.session, "channel-new", self.channel_new)
        ON(self.session, "disconnected", self.disconnected)
        ON(self.session, "notify::migration-state", self.migration_state)

    def event(self, name, **more):
        line = {"t_us": time.monotonic_ns() // 1000, "event": name, **more}
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()

    def channel_new(self, _session, channel):
        ON(channel, "channel-event", self.channel_event)
        if isinstance(channel, SpiceClientGLib.DisplayChannel):
            ON(channel, "display-primary-create", self.primary_create)
            ON(channel, "display-primary-destroy", self.primary_destroy)
            ON(channel, "display-invalidate", self.invalidate)
        elif not isinstance(channel, (SpiceClientGLib.MainChannel, SpiceClientGLib.InputsChannel,
                                      SpiceClientGLib.CursorChannel)):
            return
        SpiceClientGLib.Channel.connect(channel)

    def channel_event(self, channel, event):
        kind = channel.get_property("channel-type")
        name = event.value_nick
        if name == "opened":
            self.event("connected" if kind == 1 else "channel", channel=kind)
        elif name.startswith("error"):
            self.code = 1
            self.event("error", channel=kind, message=name)
            self.loop.quit()
        else:
            self.event("channel-" + name, channel=kind)

    def migration_state(self, session, _property):
        state = session.get_property("migration-state").value_nick
        names = {"connecting": "migrate-begin", "migrating": "switch", "none": "migrate-done"}
        self.event(names.get(state, state),
                   host=session.get_property("host"), port=session.get_property("port"))

    def disconnected(self, _session):
        self.event("disconnected")
        self.loop.quit()

    def invalidate(self, _channel, x, y, width, height):
        now = time.monotonic_ns() // 1000
        if now - self.last_invalidate > self.FRAME_GAP_US:
            self.event("frame", rect=[x, y, width, height])
        self.last_invalidate = now

    def primary_create(self, _channel, _format, width, height, stride, _shmid, pixels):
        self.primary = (width, height, stride, pixels)
        self.event("surface", width=width, height=height)

    def primary_destroy(self, _channel):
        self.primary = None

    def screenshot(self):
        if not self.options.screenshot:
            return
        if self.primary is None:
            self.event("error", message="no primary surface yet")
            return
        width, height, stride, place = self.primary
        pixels = ctypes.string_at(place, stride * height)
        write_png(self.options.screenshot, width, height, stride, pixels)
        self.event("screenshot", width=width, height=height)

    def stop(self):
        self.screenshot()
        self.loop.quit()
        return False

    def run(self):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, self.stop)
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, self.stop)
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1,
                             lambda: (self.screenshot(), True)[1])
        if self.options.seconds:
            GLib.timeout_add(int(self.options.seconds * 1000), self.stop)
        SpiceClientGLib.Session.connect(self.session)
        self.loop.run()
        return self.code


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--events", required=True)
    parser.add_argument("--screenshot")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--password")
    return Viewer(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
