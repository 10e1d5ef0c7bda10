"""Certificates for loopback servers: good ones, and every way of being bad. Made with the openssl command."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_CA_CONFIG = """
[ca]
default_ca = this
[this]
dir = {dir}
database = {dir}/index
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = subject
[subject]
[leaf]
subjectAltName = {names}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path
    ca: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


def make_certificate(
    folder: Path,
    *,
    names: str = "DNS:localhost, IP:127.0.0.1",
    start: str = "20200101000000Z",
    end: str = "20990101000000Z",
) -> Certificate:
    """Make a certificate signed by a root of its own, valid between two moments."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "ca.cnf"
    config.write_text(_CA_CONFIG.format(dir=folder, names=names))
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)

    root, root_key = folder / "root.pem", folder / "root.key"
    leaf, leaf_key, request = folder / "leaf.pem", folder / "leaf.key", folder / "leaf.csr"
    new_key = ("-newkey", "rsa:2048", "-nodes")
    openssl(
        *("req", "-x509", *new_key, "-config", config, "-extensions", "root"),
        *("-subj", "/CN=test root", "-days", "3650", "-keyout", root_key, "-out", root),
    )
    openssl("req", "-new", *new_key, "-subj", "/CN=localhost", "-keyout", leaf_key, "-out", request)
    openssl(
        *("ca", "-batch", "-notext", "-config", config, "-extensions", "leaf"),
        *("-cert", root, "-keyfile", root_key, "-startdate", start, "-enddate", end),
        *("-in", request, "-out", leaf),
    )
    return Certificate(leaf, leaf_key, root)
