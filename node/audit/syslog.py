"""Audit messages on the wire: syslog (RFC 5424) over TLS (RFC 5425, PS3.15 A.6) or UDP (RFC 5426, PS3.15 A.7)."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from datetime import UTC
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from radnode.config.access import Syslog

TIMEOUT_S = 10.0
LARGEST_DATAGRAM = 65_000
"""What an IPv4 datagram holds, less headers; RFC 5426 3.1 asks no more than 480 octets of a receiver."""
PRI_SUCCESS, PRI_FAILURE = 85, 84
"""PS3.15 A.6: facility 10, severity 5 (notice), or 4 (warning)."""
MESSAGE_ID = "DICOM+RFC3881"


class SyslogAway(Exception):
    """It was not sent; it is tried again."""


class Line(Protocol):
    """An open way to the server."""

    def send(self, messages: Sequence[bytes]) -> None:
        """All of them, or :class:`SyslogAway`: then any number may have come."""

    def is_alive(self) -> bool:
        """Whether the other side is still there, as far as can be seen."""

    def close(self) -> None:
        """End it."""


def formatted(at: datetime, outcome: int, message: str, hostname: str) -> bytes:
    """RFC 5424 6: header, no structured data, a byte order mark and the XML in UTF-8."""
    priority = PRI_FAILURE if outcome else PRI_SUCCESS
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = f"<{priority}>1 {stamp} {hostname[:255]} radnode {os.getpid()} {MESSAGE_ID} - "
    return header.encode("ascii", "replace") + b"\xef\xbb\xbf" + message.encode("utf-8")


def opened(syslog: Syslog) -> Line:
    """Raises :class:`SyslogAway`."""
    try:
        return _Tls(syslog) if syslog.transport == "tls" else _Udp(syslog)
    except (OSError, ValueError) as error:
        raise SyslogAway(f"{syslog.host}:{syslog.port}: {_said(error)}") from error


class _Tls:
    """RFC 5425 4.3: each message after its length. The certificate and its name are always checked."""

    def __init__(self, syslog: Syslog) -> None:
        context = ssl.create_default_context(cafile=syslog.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if syslog.certificate is not None:
            context.load_cert_chain(syslog.certificate, syslog.key)
        plain = socket.create_connection((syslog.host, syslog.port), TIMEOUT_S)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=syslog.host)
        except BaseException:
            plain.close()
            raise

    def send(self, messages: Sequence[bytes]) -> None:
        """All of them; returns once the other machine has acknowledged every octet (TCP), not merely taken by ours."""
        try:
            self._socket.sendall(b"".join(b"%d %b" % (len(each), each) for each in messages))
            deadline = time.monotonic() + TIMEOUT_S
            while _unacknowledged(self._socket) and time.monotonic() < deadline:
                time.sleep(0.01)
            if _unacknowledged(self._socket):
                raise SyslogAway("the server takes nothing")
        except (OSError, ValueError) as error:
            raise SyslogAway(_said(error)) from error

    def is_alive(self) -> bool:
        """A syslog server says nothing (RFC 5425): whatever can be read is an end."""
        try:
            readable, _, _ = select.select([self._socket], [], [], 0)
            if not readable:
                return True
            self._socket.settimeout(0.0)
            return bool(self._socket.recv(1))
        except (ssl.SSLWantReadError, BlockingIOError):
            return True  # a message of TLS itself
        except OSError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def close(self) -> None:
        """With close_notify where the other side still listens (RFC 5425 4.4)."""
        try:
            self._socket.settimeout(1.0)
            self._socket.unwrap()
        except (OSError, ValueError):
            pass  # it is gone already
        finally:
            self._socket.close()


class _Udp:
    """RFC 5426 3.1: a message a datagram. Whether it came nobody says."""

    def __init__(self, syslog: Syslog) -> None:
        found = socket.getaddrinfo(syslog.host, syslog.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.connect(address)

    def send(self, messages: Sequence[bytes]) -> None:
        """One after the other."""
        try:
            for each in messages:
                self._socket.send(each[:LARGEST_DATAGRAM])
        except OSError as error:
            raise SyslogAway(_said(error)) from error

    def is_alive(self) -> bool:
        """An ICMP "port unreachable" is all that ever comes back."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def close(self) -> None:
        """Nothing to say."""
        self._socket.close()


def _unacknowledged(connection: socket.socket) -> int:
    """Octets that the other machine has not acknowledged (Linux: SIOCOUTQ, the same number as TIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
