# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-standby over TCP: quick acknowledgements, and TLS toward a stock QEMU."""
import os
import subprocess

import pytest
import standby as sb


def certificates(directory):
    """A CA, a server's and a client's certificate, named as QEMU's tls-creds-x509 wants them."""
    directory.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], cwd=directory, check=True,
                       capture_output=True, timeout=60)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca-key.pem", "-out",
            "ca-cert.pem", "-days", "30", "-subj", "/CN=test CA",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign")
    for role in ("server", "client"):
        extensions = directory / f"{role}.ext"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={role}Auth\n"
                              "keyUsage=critical,digitalSignature,keyEncipherment\n"
                              "basicConstraints=critical,CA:FALSE\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{role}-key.pem", "-out",
                f"{role}.csr", "-subj", f"/CN={role}")
        openssl("x509", "-req", "-in", f"{role}.csr", "-CA", "ca-cert.pem", "-CAkey",
                "ca-key.pem", "-CAcreateserial", "-out", f"{role}-cert.pem", "-days", "30",
                "-extfile", extensions)
    return directory


def short_pause_ms(primary):
    """Time from STOP to RESUME that one in ten checkpoints since the last call stayed below."""
    primary.qmp("query-status")
    stamps = [(event["event"], event["timestamp"]) for event in primary.qmp.events
              if event["event"] in ("STOP", "RESUME")]
    primary.qmp.events.clear()
    times = [(name, at["seconds"] * 1e3 + at["microseconds"] / 1e3) for name, at in stamps]
    found = sorted(b[1] - a[1] for a, b in zip(times[2:], times[3:])
                   if a[0] == "STOP" and b[0] == "RESUME")
    return found[len(found) // 10]


@pytest.mark.full
def test_tcp_is_acknowledged_quickly(tmp_path):
    with sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path), memory=64) as primary, \
            sb.Standby(tmp_path / "s", listen="tcp:127.0.0.1:0") as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect("tcp:" + standby.control(cmd="status")["listen"], 100)
        # With delayed acknowledgements each checkpoint would stop the guest for 40 ms or more; a
        # busy machine lengthens some, for as long as it is busy.
        pauses = []
        for epoch in range(21, 321, 20):
            standby.wait_epoch(epoch)
            pauses.append(short_pause_ms(primary))
            if pauses[-1] < 40:
                break
        assert min(pauses) < 40, pauses


@pytest.mark.full
def test_a_stock_qemu_is_protected_over_tls(tmp_path):
    tls = certificates(tmp_path / "tls")
    image = tmp_path / "image"
    image.write_bytes(b"")
    os.truncate(image, 1 << 20)
    credentials = f"tls-creds-x509,id=tls0,endpoint=client,dir={tls}"
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path), "-object", credentials,
                         memory=64)
    with primary, sb.Standby(tmp_path / "s", listen="tcp:127.0.0.1:0", tls=tls,
                             disk=f"tcp:127.0.0.1:0={image}") as standby:
        status = standby.control(cmd="status")
        primary.ticks.wait(3, sb.PATIENCE)
        primary.qmp("migrate-set-parameters", **{"tls-creds": "tls0", "tls-hostname": "127.0.0.1"})
        primary.protect("tcp:" + status["listen"], 200)
        standby.wait("protected")
        standby.wait_epoch(4)
        host, port = status["disk"].rsplit(":", 1)
        disk = f"driver=nbd,server.type=inet,server.host={host},server.port={port}"
        done = subprocess.run(
            ["qemu-io", "--object", credentials, "-c", "write -P 5 0 64k", "-c", "read -P 5 0 64k",
             "--image-opts", f"{disk},tls-creds=tls0,tls-hostname=127.0.0.1"],
            capture_output=True, text=True, timeout=60, check=True)
        assert "wrote 65536" in done.stdout and "failed" not in done.stdout
        clear = subprocess.run(["qemu-io", "-c", "read 0 512", "--image-opts", disk],
                               capture_output=True, text=True, timeout=60, check=False)
        assert clear.returncode != 0 and "TLS" in clear.stderr
