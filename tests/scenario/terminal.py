# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program on a terminal of its own, for what behaves otherwise behind a pipe."""
import os
import pty
import select
import subprocess

from hosts import wait_until


class Terminal:
    """A program on a terminal of its own, as a user has it: it writes line by line."""

    def __init__(self, *words):
        self.ours, theirs = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True)
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def read(self):
        """Everything that it has written by now."""
        while select.select([self.ours], [], [], 0)[0]:
            try:
                self.seen += os.read(self.ours, 4096).decode(errors="replace")
            except OSError:  # the program is gone
                break
        return self.seen

    def write(self, text):
        os.write(self.ours, text.encode())


def wait_until_registered(watcher, host, name):
    """Of `virsh event`, which does not say when it is: a guest's events tell."""
    def registered():
        host.virsh("suspend", name)
        host.virsh("resume", name)
        return f"event 'lifecycle' for domain '{name}': Resumed Unpaused" in watcher.read()
    wait_until(registered, 60, "virsh has registered its callbacks")
