"""Mail (RFC 5321, STARTTLS of RFC 3207) and webhook (one POST). Each attempt is short; failures are one exception."""

from __future__ import annotations

import http.client
import json
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from radnode.node.security.tokens import SecretUnreadable, read_secret

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.config.alarms import Mail, Webhook
    from radnode.node.alarming.messages import Message

TIMEOUT_S = 10.0


class SinkFailed(Exception):
    """It was not told; it is tried again."""


def send_mail(mail: Mail, message: Message) -> list[str]:
    """Give the message to the mail server; returns for whom it takes none. Raises :class:`SinkFailed`: for nobody."""
    content = EmailMessage()
    content["From"] = mail.sender
    content["To"] = ", ".join(mail.to)
    content["Subject"] = message.subject
    content["Date"] = format_datetime(message.at)
    content["Message-ID"] = f"<{message.key}@{mail.sender.partition('@')[2]}>"
    content["Auto-Submitted"] = "auto-generated"
    content.set_content(message.text())
    try:
        with _connected(mail) as server:
            if mail.user and mail.password_file:
                server.login(mail.user, read_secret(mail.password_file))
            refused = server.send_message(content)
    except (smtplib.SMTPException, OSError, ValueError, SecretUnreadable) as error:
        raise SinkFailed(f"{mail.host}:{mail.port}: {_said(error)}") from error
    return list(refused)


def post(webhook: Webhook, message: Message) -> None:
    """Send the message; only an answer of 2xx is one. Redirects are not followed. Raises :class:`SinkFailed`."""
    parts = urlsplit(webhook.url)
    headers = {"Content-Type": "application/json", "User-Agent": "radnode", "Idempotency-Key": message.key}
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=_context(webhook.ca_file))
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    )
    try:
        if webhook.token_file:
            headers["Authorization"] = f"Bearer {read_secret(webhook.token_file)}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body=json.dumps(message.document()).encode(), headers=headers)
        status = connection.getresponse().status
    except (http.client.HTTPException, OSError, ValueError, SecretUnreadable) as error:
        raise SinkFailed(f"{host}: {_said(error)}") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise SinkFailed(f"{host} answered {status}")


def _connected(mail: Mail) -> smtplib.SMTP:
    name = socket.gethostname()
    if mail.tls == "implicit":
        context = _context(mail.ca_file)
        return smtplib.SMTP_SSL(mail.host, mail.port, local_hostname=name, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(mail.host, mail.port, local_hostname=name, timeout=TIMEOUT_S)
    if mail.tls == "starttls":
        try:
            server.starttls(context=_context(mail.ca_file))
        except BaseException:
            server.close()
            raise
    return server


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
