"""An authority made for a test, and certificates for localhost that it has signed: a server's and a client's."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

_NAMES = ("authority", "server", "server-key", "client", "client-key")
_DAYS = 2  # for which they are good


class Certificates(NamedTuple):
    """PEM files: the authority, and certificate and key of a server and of a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def of(folder: Path) -> Certificates:
    """The files that `make` writes into a folder."""
    return Certificates(*(folder / f"{name}.pem" for name in _NAMES))


def make(folder: Path) -> Certificates:
    """Make an authority, which only these files know, and what it has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of tests")])

    def write(name: str, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> None:
        subject = issuer if is_authority else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.SubjectAlternativeName(local), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(authority, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}-key.pem").write_bytes(private)

    write("authority", authority, is_authority=True)
    for name in ("server", "client"):
        write(name, ec.generate_private_key(ec.SECP256R1()), is_authority=False)
    return of(folder)
