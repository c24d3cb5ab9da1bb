# SPDX-License-Identifier: LGPL-2.1-or-later
"""The devices of stock_client.py: clipboard, file transfer, ports, sound.

Commands: `copy PATH` (offers the file as the clipboard's text), `paste PATH` (asks for the guest's
clipboard and writes it there), `send-file PATH`, `port-write NAME PATH`, `port-event NAME CODE`,
`record PATH` (what the microphone hears, S16 stereo, when the guest listens), `resize WIDTH HEIGHT`
(the user's window: the guest's first screen is to have this size).
`--devices DIR` is where bytes of ports and sound are kept: DIR/port-NAME, DIR/playback.
"""
import ctypes
import json
import sys
import time
from pathlib import Path

from gi.repository import Gio, GLib, GObject, SpiceClientGLib as Spice

on = GObject.Object.connect
TEXT = 1  # VD_AGENT_CLIPBOARD_UTF8_TEXT
BY_DEMAND = 5  # VD_AGENT_CAP_CLIPBOARD_BY_DEMAND
CHUNK = 960 * 4


gobject = ctypes.CDLL("libgobject-2.0.so.0")
gobject.g_signal_connect_data.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p,
                                          ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
SELECTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32,
                             ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
GRAB = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p,
                        ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)
WRITTEN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
spice = ctypes.CDLL("libspice-client-glib-2.0.so.8")
spice.spice_port_channel_write_async.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p,
    ctypes.c_void_p]
spice.spice_record_channel_send_data.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32]
kept = []  # what C code has the address of


def connect_raw(channel, signal, handler):
    """Signals whose arrays are mere pointers, which introspection takes for arrays."""
    callback = (GRAB if signal.endswith("grab") else SELECTION)(handler)
    kept.append(callback)
    gobject.g_signal_connect_data(hash(channel), signal.encode(), callback, None, None, 0)


def say(event, **fields):
    sys.stdout.write(json.dumps({"t_us": int(time.monotonic() * 1e6), "event": event,
                                 **fields}) + "\n")
    sys.stdout.flush()


class Devices:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.main = None
        self.ports = {}
        self.offered = b""
        self.paste_path = None
        self.received = {}
        self.speech = b""

    def on_channel(self, channel):
        """Takes the channels that are of devices; returns whether it was one."""
        if isinstance(channel, Spice.MainChannel):
            self.main = channel
            on(channel, "main-agent-update", self.on_agent)
            on(channel, "main-clipboard-selection-request", self.on_request)
            connect_raw(channel, "main-clipboard-selection-grab", self.on_grab)
            connect_raw(channel, "main-clipboard-selection", self.on_clipboard)
            return False
        if isinstance(channel, Spice.PortChannel):
            on(channel, "notify::port-opened", self.on_port)
            on(channel, "port-data", self.on_port_data)
            on(channel, "port-event", lambda c, event: say(
                "port-event", name=c.get_property("port-name"), code=event))
        elif isinstance(channel, Spice.PlaybackChannel):
            on(channel, "playback-start", lambda c, fmt, channels, rate: say(
                "playback-start", format=fmt, channels=channels, rate=rate))
            on(channel, "playback-data", self.on_sound)
            on(channel, "playback-stop", lambda c: say("playback-stop"))
            for name in ("volume", "mute"):
                on(channel, f"notify::{name}", self.on_volume)
        elif isinstance(channel, Spice.RecordChannel):
            on(channel, "record-start", self.on_record)
            on(channel, "record-stop", self.on_record_stop)
        else:
            return False
        channel.connect()
        return True

    # --- Agent -----------------------------------------------------------------------------------

    def on_agent(self, channel):
        if channel.get_property("agent-connected") and channel.agent_test_capability(BY_DEMAND):
            say("agent-ready")

    def on_request(self, channel, selection, kind):
        say("clipboard-request", selection=selection, type=kind)
        channel.clipboard_selection_notify(selection, kind, list(self.offered))
        return True

    def on_grab(self, _channel, selection, _types, _count, _more, _data):
        say("clipboard-grab", selection=selection)
        return 1

    def on_clipboard(self, _channel, selection, _type, data, size, _data):
        self.keep(self.paste_path, ctypes.string_at(data, size) if size else b"")
        say("clipboard", selection=selection, size=size)
        return 0

    def keep(self, path, data, mode="wb"):
        with open(path, mode) as out:
            out.write(data)

    # --- Ports -----------------------------------------------------------------------------------

    def on_port(self, channel, _property):
        name = channel.get_property("port-name")
        self.ports[name] = channel
        say("port", name=name, opened=channel.get_property("port-opened"))

    def on_port_data(self, channel, data, size):
        name = channel.get_property("port-name")
        address = data if isinstance(data, int) else hash(data)
        self.keep(self.directory / f"port-{name}", ctypes.string_at(address, size), "ab")
        self.count(f"port-{name}", size)

    def write(self, channel, data):
        # Not by introspection: it frees the bytes while they are still on their way.
        buffer = ctypes.create_string_buffer(data, len(data))
        done = WRITTEN(lambda *_: say("port-written", size=len(data)))
        kept.extend((buffer, done))
        spice.spice_port_channel_write_async(hash(channel), buffer, len(data), None, done, None)

    def count(self, what, size):
        total = self.received.get(what, 0) + size
        self.received[what] = total
        say("bytes", what=what, total=total)

    # --- Sound -----------------------------------------------------------------------------------

    def on_sound(self, channel, data, size):
        address = data if isinstance(data, int) else hash(data)
        self.keep(self.directory / "playback", ctypes.string_at(address, size), "ab")
        total = self.received["playback"] = self.received.get("playback", 0) + size
        say("sound", total=total, wire=channel.get_property("total-read-bytes"))

    def on_volume(self, channel, _property):
        # The array of volumes does not pass through GObject introspection; the mute does.
        say("volume", kind=type(channel).__name__, mute=channel.get_property("mute"))

    def on_record(self, channel, fmt, channels, rate):
        say("record-start", format=fmt, channels=channels, rate=rate)
        self.spoken = 0
        GLib.timeout_add(20, self.speak, channel)

    def on_record_stop(self, _channel):
        self.spoken = len(self.speech)
        say("record-stop")

    def speak(self, channel):
        part = self.speech[self.spoken:self.spoken + CHUNK]
        if not part:
            return False
        # Not by introspection, which takes the bytes for an address.
        spice.spice_record_channel_send_data(hash(channel), part, len(part), 0)
        self.spoken += len(part)
        return True

    # --- Commands --------------------------------------------------------------------------------

    def obey(self, name, words):
        """Whether the command was one of ours."""
        if name == "copy":
            self.offered = Path(words[0]).read_bytes()
            self.main.clipboard_selection_grab(0, [TEXT])
        elif name == "paste":
            self.paste_path = words[0]
            self.main.clipboard_selection_request(0, TEXT)
        elif name == "send-file":
            self.main.file_copy_async(
                [Gio.File.new_for_path(words[0])], Gio.FileCopyFlags.NONE, None, None, None,
                lambda c, result: say("file-sent", ok=self.finish(result)))
        elif name == "port-write":
            self.write(self.ports[words[0]], Path(words[1]).read_bytes())
        elif name == "port-event":
            self.ports[words[0]].event(int(words[1]))
        elif name == "resize":
            width, height = map(int, words)
            self.main.update_display(0, 0, 0, width, height, False)
            self.main.update_display_enabled(0, True, False)
            if not self.main.send_monitor_config():
                say("not-resized")
        elif name == "record":
            self.speech = Path(words[0]).read_bytes()
        else:
            return False
        return True

    def finish(self, result):
        try:
            return self.main.file_copy_finish(result)
        except GLib.Error as error:
            return error.message
