"""Certificates made on the spot: an authority, what it signs, and everything that can be wrong with a certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path
    made: x509.Certificate

    @property
    def fingerprint(self) -> str:
        """As the configuration has it."""
        return f"sha256:{self.made.fingerprint(SHA256()).hex()}"


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path, name: str = "Hospital CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        self._own = self._sign(self._name, self._key, now - DAY, now + 3650 * DAY, ca=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def pair(
        self, name: str, *, start: timedelta = -DAY, end: timedelta = 365 * DAY, self_signed: bool = False,
        address: str | None = None,
    ) -> Pair:
        """A certificate for a name, valid from and to so long from now."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key, now + start, now + end, self_signed=self_signed, address=address)
        place = self._folder / f"{made.serial_number:x}"
        files = Pair(certificate=place.with_suffix(".pem"), key=place.with_suffix(".key"), made=made)
        files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ))
        files.key.chmod(0o600)
        return files

    def revoke(self, *pairs: Pair) -> Path:
        """A list of what is revoked."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(now - DAY)
        builder = builder.next_update(now + 60 * DAY)
        for pair in pairs:
            revoked = x509.RevokedCertificateBuilder().serial_number(pair.made.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        path = self._folder / "revoked.pem"
        path.write_bytes(builder.sign(self._key, SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def client(self, pair: Pair | None, *, trusts: bool = True) -> ssl.SSLContext:
        """A peer's side: checks the node, shows its pair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if trusts else ssl.CERT_NONE
        context.load_verify_locations(self.file)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime, *, ca: bool = False,
        self_signed: bool = False, address: str | None = None,
    ) -> x509.Certificate:
        issuer = subject if self_signed else self._name
        common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        names: list[x509.GeneralName] = [x509.DNSName(str(common).replace(" ", "-"))]
        if address is not None:
            names.append(x509.IPAddress(ip_address(address)))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.sign(key if self_signed else self._key, SHA256())
