# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chromium without a window, driven over the DevTools protocol through a pair of pipes, and a web
server for the pages that it shows."""
import fcntl
import functools
import http.server
import json
import os
import select
import shutil
import subprocess
import threading
import time


class Site:
    """A folder as web pages on loopback; a context manager. Its address is `url`."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass
        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Browser:
    """One page of a Chromium of its own; a context manager."""

    def __init__(self, directory, width=1024, height=900):
        self.directory = directory / "browser"
        self.arguments = [
            shutil.which("chromium-headless-shell"), "--remote-debugging-pipe", "--no-sandbox",
            "--disable-gpu", "--no-first-run", f"--user-data-dir={self.directory}",
            f"--window-size={width},{height}", "about:blank"]
        self.next_id = 0
        self.unread = b""
        self.events = []
        self.page = None

    def __enter__(self):
        self.directory.mkdir()
        # It reads from descriptor 3 and writes to descriptor 4: ours stay clear of both.
        theirs_in, self.to = map(high, os.pipe())
        self.come, theirs_out = map(high, os.pipe())

        def place():
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)
        with open(self.directory / "stderr", "wb") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(3, 4), preexec_fn=place)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.page = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")
        return self

    def __exit__(self, *_):
        os.close(self.to)
        os.close(self.come)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)

    def call(self, method, **parameters):
        """The result of one command of the protocol."""
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if self.page:
            message["sessionId"] = self.page
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self.read()
            if answer.get("id") == self.next_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def read(self, timeout=60):
        end = time.monotonic() + timeout
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.come], [], [], max(0, end - time.monotonic()))
            more = os.read(self.come, 1 << 20) if ready else b""
            if not more:
                said = (self.directory / "stderr").read_text(errors="replace")[-500:]
                raise TimeoutError(f"the browser does not answer: {said}")
            self.unread += more
        line, self.unread = self.unread.split(b"\0", 1)
        return json.loads(line)

    def wait(self, method):
        """The parameters of the first event of this name."""
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event["params"]
            self.events.append(self.read())

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of a piece of JavaScript in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def said(self):
        """What the page has written to its console."""
        return [" ".join(str(part.get("value", "")) for part in event["params"]["args"])
                for event in self.events if event.get("method") == "Runtime.consoleAPICalled"]

    def mouse(self, kind, x, y, button="none", buttons=0):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons,
                  clickCount=int(kind != "mouseMoved"))

    def key(self, code, key, number):
        """Presses and releases a key: its place, its text, and the number that old pages read."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, code=code, key=key,
                      windowsVirtualKeyCode=number)


def high(descriptor):
    """The same, numbered where it is in nobody's way."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
