"""Other names for patients, UIDs and days: the same for the same original, and only who has the secret can tell.

All come from HMAC-SHA-256 (RFC 2104) under keys that are derived from the secret (RFC 5869), one for each purpose and
domain. A domain is a destination: two destinations cannot find out that they have the same patient.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from datetime import date, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SHORTEST_SECRET = 32
"""Characters. A Patient ID can be guessed, so only the secret keeps its pseudonym from being found by trying."""
_LONGEST_SHIFT_DAYS = 3 * 365
_NONCE = 12


class SecretTooShort(Exception):
    """The secret could be guessed."""


class NotOurs(Exception):
    """What is sealed was sealed with another secret, or changed since."""


class Pseudonyms:
    """The pseudonyms of one domain."""

    def __init__(self, secret: str, domain: str) -> None:
        """Raises :class:`SecretTooShort`."""
        if len(secret) < SHORTEST_SECRET:
            raise SecretTooShort(f"the secret has fewer than {SHORTEST_SECRET} characters; `openssl rand -hex 32` "
                                 "makes a good one")
        self.domain = domain
        self._secret = secret.encode()
        self._keys: dict[str, bytes] = {}

    def patient(self, patient_id: str, issuer: str) -> str:
        """For Patient's Name and Patient ID: 16 letters and digits, of 80 bits."""
        digest = self._digest("patient", json.dumps([patient_id.strip(), issuer.strip()]))
        return base64.b32encode(digest[:10]).decode("ascii")

    def uid(self, uid: str) -> str:
        """PS3.5 B.2: a UUID (RFC 9562, version 8) below 2.25."""
        number = bytearray(self._digest("uid", uid)[:16])
        number[6] = number[6] & 0x0F | 0x80
        number[8] = number[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(number, 'big')}"

    def shift(self, patient: str) -> timedelta:
        """By how much the days of a patient (by pseudonym) are moved: back, whole days, at most three years."""
        number = int.from_bytes(self._digest("shift", patient)[:8], "big")
        return timedelta(days=-1 - number % _LONGEST_SHIFT_DAYS)

    def seal(self, kind: str, pseudonym: str, original: Any) -> bytes:
        """The original (JSON), encrypted for who has the secret (AES-256-GCM), bound to its pseudonym."""
        nonce = os.urandom(_NONCE)
        plain = json.dumps(original, ensure_ascii=False).encode()
        return nonce + AESGCM(self._key("seal")).encrypt(nonce, plain, f"{self.domain}|{kind}|{pseudonym}".encode())

    def unseal(self, kind: str, pseudonym: str, sealed: bytes) -> Any:
        """What :meth:`seal` was given. Raises :class:`NotOurs`."""
        bound = f"{self.domain}|{kind}|{pseudonym}".encode()
        try:
            plain = AESGCM(self._key("seal")).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except InvalidTag as error:
            raise NotOurs("it was written with another secret than that of `secret_file` now") from error
        return json.loads(plain)

    def _digest(self, purpose: str, value: str) -> bytes:
        return hmac.new(self._key(purpose), value.encode(), hashlib.sha256).digest()

    def _key(self, purpose: str) -> bytes:
        if purpose not in self._keys:
            info = f"radnode de-identification|{self.domain}|{purpose}".encode()
            self._keys[purpose] = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._secret)
        return self._keys[purpose]


def shifted(value: str, by: timedelta) -> str | None:
    """A DA or DT (PS3.5 6.2), moved by whole days, its time and offset as they were; None where it is no date.

    A DT of a year or a month alone has no day to be moved, and is None too.
    """
    text = value.strip().replace(".", "", 2) if value.count(".") == 2 else value.strip()  # ACR-NEMA: 2001.05.17
    if len(text) < 8 or not text[:8].isdigit():
        return None
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) + by
    except (ValueError, OverflowError):
        return None
    return f"{day:%Y%m%d}{text[8:]}" if day.year >= 1000 else None
