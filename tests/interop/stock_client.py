#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A headless client on stock spice-gtk, for tests: one JSON object per event on stdout.

  stock_client.py URI [--user NAME] [--password WORD] [--ca FILE] [--read-only] [--devices DIR]

Commands on stdin, one a line: `shot PATH [DISPLAY]` (a PPM of the primary surface), `key CODE`,
`motion DX DY BUTTONS`, `position X Y BUTTONS`, `press BUTTON BUTTONS`, `release BUTTON BUTTONS`,
`bytes` (that the display channel has read), `prefer N` (image compression), `quit`, and those of
stock_devices.py. Each is answered by an event `done`.
"""
import ctypes
import json
import os
import sys
import time

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib as Spice  # noqa: E402

from stock_devices import Devices  # noqa: E402

# Session.connect and Channel.connect are spice-gtk's own, and hide GObject's.
on = GObject.Object.connect


def say(event, **fields):
    fields = {"t_us": int(time.monotonic() * 1e6), "event": event, **fields}
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def ppm(width, height, stride, address):
    pixels = ctypes.string_at(address, stride * height)
    rows = bytearray(f"P6\n{width} {height}\n255\n".encode())
    for y in range(height):
        line = pixels[y * stride:y * stride + width * 4]
        row = bytearray(width * 3)
        row[0::3], row[1::3], row[2::3] = line[2::4], line[1::4], line[0::4]
        rows += row
    return bytes(rows)


class Client:
    def __init__(self, uri, user, password, authority, read_only, devices):
        self.session = Spice.Session()
        self.devices = Devices(devices) if devices else None
        self.session.set_property("uri", uri)
        if user:
            self.session.set_property("username", user)
        if password:
            self.session.set_property("password", password)
        if authority:
            self.session.set_property("ca-file", authority)
        if read_only:
            self.session.set_property("read-only", True)
        on(self.session, "channel-new", self.on_channel)
        on(self.session, "notify::migration-state", self.on_migration)
        self.primaries = {}  # by display
        self.display = None
        self.inputs = None
        self.updates = 0
        self.loop = GLib.MainLoop()
        GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT,
                          GLib.IOCondition.IN | GLib.IOCondition.HUP, self.on_command)

    def run(self):
        if not self.session.connect():
            say("error", what="cannot connect")
            return
        self.loop.run()

    def on_channel(self, _session, channel):
        kind = type(channel).__name__
        say("channel", kind=kind, id=channel.get_property("channel-id"))
        on(channel, "channel-event", self.on_channel_event)
        if self.devices and self.devices.on_channel(channel):
            return
        if isinstance(channel, Spice.MainChannel):
            on(channel, "main-mouse-update", lambda c: say(
                "mouse-mode", mode=c.get_property("mouse-mode")))
            on(channel, "main-agent-update", lambda c: say(
                "agent", connected=c.get_property("agent-connected")))
        if isinstance(channel, Spice.DisplayChannel):
            self.display = channel
            on(channel, "display-primary-create", self.on_primary)
            on(channel, "display-primary-destroy", self.on_primary_gone)
            on(channel, "display-invalidate", self.on_invalidate)
            on(channel, "display-mark", lambda c, m: say("mark", mark=m))
            on(channel, "notify::monitors", self.on_monitors)
            channel.connect()
        elif isinstance(channel, (Spice.InputsChannel, Spice.CursorChannel)):
            if isinstance(channel, Spice.InputsChannel):
                self.inputs = channel
                on(channel, "inputs-modifiers", lambda c: say(
                    "modifiers", value=c.get_property("key-modifiers")))
            else:
                on(channel, "cursor-set", lambda c, w, h, hx, hy, rgba: say(
                    "cursor", width=w, height=h, hot_x=hx, hot_y=hy))
                on(channel, "cursor-move", lambda c, x, y: say("cursor-move", x=x, y=y))
                on(channel, "cursor-hide", lambda c: say("cursor-hide"))
            channel.connect()

    def on_channel_event(self, channel, event):
        say("channel-event", kind=type(channel).__name__, what=event.value_nick)
        if isinstance(channel, Spice.MainChannel) and event in (
                Spice.ChannelEvent.CLOSED, Spice.ChannelEvent.ERROR_CONNECT,
                Spice.ChannelEvent.ERROR_AUTH, Spice.ChannelEvent.ERROR_LINK,
                Spice.ChannelEvent.ERROR_IO, Spice.ChannelEvent.ERROR_TLS):
            say("disconnected")
            self.loop.quit()

    def on_migration(self, session, _property):
        state = session.get_property("migration-state").value_nick
        if state == "switching":
            self.primaries = {}  # their memory goes with the old session, without a word
        say("migration", state=state)

    def on_primary(self, channel, _format, width, height, stride, _shm, data):
        display = channel.get_property("channel-id")
        self.primaries[display] = (width, height, stride, data)
        say("primary", display=display, width=width, height=height)

    def on_primary_gone(self, channel):
        self.primaries.pop(channel.get_property("channel-id"), None)
        say("primary-gone")

    def on_invalidate(self, _channel, x, y, width, height):
        self.updates += 1
        say("draw", x=x, y=y, width=width, height=height)

    def on_monitors(self, channel, _property):
        say("monitors")

    def on_command(self, _source, _condition):
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            self.loop.quit()
            return False
        for line in data.decode().splitlines():
            self.obey(line.split())
        return True

    def obey(self, words):
        name, numbers = words[0], words[1:]
        if name == "shot":
            primary = self.primaries.get(int(numbers[1]) if len(numbers) > 1 else 0)
            if primary is None:
                say("done", error="no primary surface")
                return
            with open(numbers[0] + ".new", "wb") as out:
                out.write(ppm(*primary))
            os.rename(numbers[0] + ".new", numbers[0])
        elif name == "bytes":
            say("done", bytes=self.display.get_property("total-read-bytes"))
            return
        elif name == "prefer":
            self.display.display_channel_change_preferred_compression(int(numbers[0]))
        elif name == "key":
            self.inputs.key_press_and_release(int(numbers[0]))
        elif name == "motion":
            self.inputs.motion(*map(int, numbers))
        elif name == "position":
            self.inputs.position(int(numbers[0]), int(numbers[1]), 0, int(numbers[2]))
        elif name == "press":
            self.inputs.button_press(*map(int, numbers))
        elif name == "release":
            self.inputs.button_release(*map(int, numbers))
        elif name == "quit":
            self.session.disconnect()
            self.loop.quit()
        elif not self.devices or not self.devices.obey(name, words[1:]):
            say("done", error=f"no command '{name}'")
            return
        say("done")


def option(arguments, name):
    return arguments[arguments.index(name) + 1] if name in arguments else None


def main():
    arguments = sys.argv[1:]
    Client(arguments[0], option(arguments, "--user"), option(arguments, "--password"),
           option(arguments, "--ca"), "--read-only" in arguments,
           option(arguments, "--devices")).run()


if __name__ == "__main__":
    main()
