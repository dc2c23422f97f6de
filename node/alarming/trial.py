"""A message that tells of no alarm: whether mail and webhook work is known before something is wrong."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import radnode
from radnode.node.alarming import sinks
from radnode.node.alarming.messages import Message

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.config.alarms import AlarmSettings

_TEXT = "This is a test. Alarms of this node are told this way; nothing is wrong because of this message."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(Message):
    """A test, which says that it is one."""

    number: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def key(self) -> str:
        """Each test is its own."""
        return self.number

    @property
    def subject(self) -> str:
        """One line."""
        return f"{self.node}: TEST, no alarm"

    def text(self) -> str:
        """For people."""
        return f"{_TEXT}\n\nradnode {radnode.__version__}, node {self.node}.\n"

    def document(self) -> dict[str, Any]:
        """For programs: as of an alarm, with none."""
        return {"node": self.node, "version": radnode.__version__, "sent_at": self.at.isoformat(), "key": self.key,
                "test": True, "text": _TEXT, "alarms": []}


def attempt(settings: AlarmSettings, sink: str, node: str, at: datetime) -> str:
    """Tell a test by `mail` or `webhook`; for whom a mail server took it. Raises sinks.SinkFailed, LookupError."""
    message = Trial(node=node, at=at, owed=())
    if sink == "mail" and settings.mail is not None:
        refused = sinks.send_mail(settings.mail, message)
        return ", ".join(each for each in settings.mail.to if each not in refused)
    if sink == "webhook" and settings.webhook is not None:
        sinks.post(settings.webhook, message)
        return settings.webhook.url
    raise LookupError(f"`alarms.{sink}` is not configured")
