"""Certificates made at start with the `openssl` command: a good one, and three that a client must refuse."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voicekiosk.errors import ConfigError, KioskError

Variant = Literal["good", "self-signed", "wrong-name", "expired"]
NAMES = "DNS:localhost,DNS:*.localhost,DNS:agents.eu.localhost,DNS:agents.us.localhost,IP:127.0.0.1,IP:::1"
TIMEOUT_S = 30.0

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {common_name}
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
subjectKeyIdentifier = hash
[ca]
default_ca = simulator
[simulator]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What `make` left in a folder."""

    authority: Path
    """Certificate of the authority: what a client has to trust to accept the good variant."""
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a server's TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make(folder: Path, variant: Variant) -> Certificates:
    """Make an authority and a server's certificate of the variant in the folder; blocks for a moment.

    Raises ConfigError when there is no openssl command, KioskError when it fails.
    """
    names = "DNS:wrong.example" if variant == "wrong-name" else NAMES
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    config, authority_key, request = folder / "openssl.cnf", folder / "ca.key", folder / "server.csr"
    (folder / "index.txt").touch()

    def configure(common_name: str) -> None:
        config.write_text(_CONFIG.format(common_name=common_name, names=names, folder=folder))

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", str(config))
    configure("voicekiosk simulator authority")
    _openssl(
        "req", "-x509", *new_key, "-keyout", authority_key, "-out", made.authority, "-days", "30",
        "-extensions", "authority",
    )  # fmt: skip
    configure("localhost")
    if variant == "self-signed":
        _openssl(
            "req", "-x509", *new_key, "-keyout", made.key, "-out", made.certificate, "-days", "30",
            "-extensions", "server",
        )  # fmt: skip
        return made
    _openssl("req", *new_key, "-keyout", made.key, "-out", request)
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    _openssl(
        "ca", "-batch", "-notext", "-config", config, "-cert", made.authority, "-keyfile", authority_key,
        "-in", request, "-out", made.certificate, "-extensions", "server",
        *(dates if variant == "expired" else ("-days", "30")),
    )  # fmt: skip
    return made


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
    except FileNotFoundError as error:
        raise ConfigError("TLS needs the openssl command: `sudo apt-get install openssl`") from error
    except subprocess.SubprocessError as error:
        output = getattr(error, "stderr", b"") or b""
        raise KioskError(f"openssl {command[1]} failed: {output.decode(errors='replace')[-300:]}") from error
