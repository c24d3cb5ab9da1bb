# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates for tests: an authority, a server's and a client's, under segued's names and under
those that libvirt's clients look for in a pkipath."""
import os
import subprocess
from pathlib import Path


def make_certificates(directory, *addresses):
    """A directory with everything; both certificates carry the given addresses or names."""
    directory = Path(directory)
    directory.mkdir(parents=True)
    os.chmod(directory, 0o755)

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], cwd=directory, check=True,
                       capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", f"/CN=Authority of {directory.name}",
            "-keyout", "ca-key.pem", "-out", "ca-cert.pem")
    names = ",".join(f"{'IP' if one[0].isdigit() else 'DNS'}:{one}" for one in addresses)
    (directory / "names").write_text(f"subjectAltName={names}\n")
    for role in ("server", "client"):
        openssl("req", *key, "-subj", f"/O=Segue/CN={role} of {directory.name}", "-keyout",
                f"{role}-key.pem", "-out", "request.pem")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{role}-cert.pem")
        # libvirt's names.
        (directory / f"{role}cert.pem").symlink_to(f"{role}-cert.pem")
        (directory / f"{role}key.pem").symlink_to(f"{role}-key.pem")
    (directory / "cacert.pem").symlink_to("ca-cert.pem")
    return directory
