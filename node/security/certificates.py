"""X.509 certificates as PEM files and as peers show them: whose, until when, and which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of a file of certificates; the authorities of the whole web take 250 KB."""


_UNREADABLE = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)


class CertificateUnreadable(Exception):
    """There is no certificate in PEM where one should be; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What of a certificate matters here.

    fingerprint: SHA-256 of its DER, as "sha256:" and hexadecimal digits. names: DNS names and common names, in lower
    case. begins_at, ends_at: the first and the last moment of its validity, UTC. subject, issuer: distinguished names
    (RFC 4514).
    """

    fingerprint: str
    names: frozenset[str]
    ends_at: datetime
    begins_at: datetime | None = None
    subject: str = ""
    issuer: str = ""

    def is_of(self, expected: str) -> bool:
        """Whether it is the one that `client_certificate` of a peer names, by fingerprint or by name."""
        return expected == self.fingerprint or expected in self.names


def from_der(content: bytes) -> Certificate:
    """The certificate that a peer showed. Raises :class:`CertificateUnreadable`."""
    try:
        return _certificate(x509.load_der_x509_certificate(content))
    except _UNREADABLE as error:
        raise CertificateUnreadable("what it shows is no certificate that can be read") from error


def read(path: Path) -> list[Certificate]:
    """All of a PEM file, at least one; that of its owner comes first. Raises :class:`CertificateUnreadable`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE)
        return [_certificate(each) for each in x509.load_pem_x509_certificates(content)]
    except OSError as error:
        raise CertificateUnreadable(f"{path}: {error.strerror}") from error
    except _UNREADABLE as error:
        raise CertificateUnreadable(f"{path} holds no certificate in PEM") from error


def next_revocations(path: Path) -> datetime:
    """When a list of revoked certificates (PEM) has to be replaced by its next. Raises CertificateUnreadable."""
    try:
        with path.open("rb") as file:
            due = x509.load_pem_x509_crl(file.read(LARGEST_FILE)).next_update_utc
    except OSError as error:
        raise CertificateUnreadable(f"{path}: {error.strerror}") from error
    except _UNREADABLE as error:
        raise CertificateUnreadable(f"{path} holds no list of revoked certificates in PEM") from error
    if due is None:
        raise CertificateUnreadable(f"{path} does not say when the next list comes")
    return due


def _certificate(found: x509.Certificate) -> Certificate:
    names = [attribute.value for attribute in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    return Certificate(
        fingerprint=f"sha256:{found.fingerprint(SHA256()).hex()}",
        names=frozenset(str(name).lower() for name in names),
        ends_at=found.not_valid_after_utc,
        begins_at=found.not_valid_before_utc,
        subject=_written(found.subject),
        issuer=_written(found.issuer),
    )


def _written(name: x509.Name) -> str:
    """For people alone: a name that cannot be written makes no certificate unreadable."""
    try:
        return name.rfc4514_string()
    except (ValueError, TypeError):
        return ""
