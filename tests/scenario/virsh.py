# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real virsh, waited for.

virsh 9.0 runs `migrate` on a thread whose last act ends the main thread's loop (virshWatchJob). A
refusal that comes before that loop has begun is lost on it, and virsh waits for ever: about one of
a thousand refusals that take a millisecond, on a loaded machine. It is told by that thread, which
is gone while virsh is not, and asked again: nothing had begun."""
import os
import subprocess
import time

# Threads of a virsh at rest: its own, and that of its event loop.
AT_REST = 2
LOST_AFTER = 5.0  # seconds


def run(command, timeout):
    """CompletedProcess with the text of both outputs; subprocess.TimeoutExpired after the bound."""
    return _run_once(command, timeout, may_be_lost="migrate" in command) or _run_once(
        command, timeout, may_be_lost=False)


def _run_once(command, timeout, may_be_lost):
    # SIGPIPE stays ignored, as it is in Python: a server that refuses virsh's certificate may
    # close before virsh says good-bye, which otherwise kills it now and then.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, restore_signals=False) as process:
        end = time.monotonic() + timeout
        lost = 0
        while True:
            try:
                left = max(0.0, end - time.monotonic())
                out, err = process.communicate(timeout=min(LOST_AFTER, left))
                return subprocess.CompletedProcess(command, process.returncode, out, err)
            except subprocess.TimeoutExpired:
                lost = lost + 1 if may_be_lost and _is_at_rest(process.pid) else 0
                if lost < 2 and time.monotonic() < end:
                    continue
                process.kill()
                process.communicate()
                if lost >= 2:
                    return None
                raise


def _is_at_rest(pid):
    return len(os.listdir(f"/proc/{pid}/task")) == AT_REST
