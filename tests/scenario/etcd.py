# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real etcd of one member on a loopback address."""
import base64
import json
import os
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

from hosts import free_port, wait_until


class Etcd:
    """With `pki`, a directory of certificates.py, it lets in only who has a certificate of it."""

    def __init__(self, folder, pki=None, address="127.0.0.1"):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.pki, self.process = pki, None
        self.member = f"{address}:{free_port(address)}"
        self.peer = f"{address}:{free_port(address)}"
        self.uri = f"etcd{'' if pki else '+tcp'}://{self.member}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def start(self):
        client = f"http{'s' if self.pki else ''}://{self.member}"
        command = ["etcd", "--data-dir", str(self.folder / "data"),
                   "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", f"http://{self.peer}",
                   "--initial-advertise-peer-urls", f"http://{self.peer}",
                   "--initial-cluster", f"default=http://{self.peer}"]
        if self.pki:
            command += ["--cert-file", str(self.pki / "server-cert.pem"),
                        "--key-file", str(self.pki / "server-key.pem"), "--client-cert-auth",
                        "--trusted-ca-file", str(self.pki / "ca-cert.pem")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder)
        wait_until(self.answers, 60, self.log)
        return self

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def ask(self, call, question):
        """One question to its gateway."""
        context = None
        if self.pki:
            context = ssl.create_default_context(cafile=self.pki / "ca-cert.pem")
            context.load_cert_chain(self.pki / "client-cert.pem", self.pki / "client-key.pem")
        request = urllib.request.Request(
            f"http{'s' if self.pki else ''}://{self.member}/v3/{call}",
            json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return json.load(answer)

    def answers(self):
        assert self.process.poll() is None, self.log()
        try:
            return self.keys() is not None
        except OSError:
            return False

    def keys(self):
        """{key: value} of everything that it has."""
        def encoded(text):
            return base64.b64encode(text).decode()

        def decoded(text):
            return base64.b64decode(text).decode()
        said = self.ask("kv/range", {"key": encoded(b"\0"), "range_end": encoded(b"\0")})
        return {decoded(pair["key"]): decoded(pair.get("value", ""))
                for pair in said.get("kvs", [])}

    def holders(self):
        return [value for key, value in self.keys().items() if key.endswith("/holder")]

    def stop(self):
        """It answers nothing for a while, as behind a cut line."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)
