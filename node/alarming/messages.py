"""What is said of alarms outside this machine: one text, one JSON document. No patient, no words of a peer or file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import radnode
from radnode.node.alarming.kinds import kind_of, public_words, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from radnode.node.alarming.telling import Owed

_WORDS = {"raised": "NEW", "still": "STILL", "cleared": "OVER"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one sink is told at a time. node: its AE title."""

    node: str
    at: datetime
    owed: Sequence[Owed]

    @property
    def key(self) -> str:
        """The same for the same news, so that a receiver can tell a repetition."""
        said = [(each.alarm.alarm_id, each.alarm.since.isoformat(), each.event) for each in self.owed]
        return hashlib.sha256(json.dumps([self.node, said]).encode()).hexdigest()[:32]

    @property
    def subject(self) -> str:
        """One line."""
        first = self.owed[0]
        more = f" and {len(self.owed) - 1} more" if len(self.owed) > 1 else ""
        return f"{self.node}: {_WORDS[first.event]} {first.alarm.name}{more}"

    def text(self) -> str:
        """For people."""
        blocks = []
        for each in self.owed:
            alarm, kind = each.alarm, kind_of(each.alarm.name)
            lines = [f"{_WORDS[each.event]} {alarm.name} ({alarm.severity}): {public_words(alarm.name, alarm.text)}"]
            lines.append(f"  since {alarm.since:%Y-%m-%d %H:%M:%S} UTC")
            if alarm.cleared_at is not None:
                lines.append(f"  over since {alarm.cleared_at:%Y-%m-%d %H:%M:%S} UTC")
            else:
                lines.append(f"  what to do: {kind.remedy}")
            blocks.append("\n".join(lines))
        blocks.append(f"radnode {radnode.__version__}, node {self.node}. On its machine: radnode alarms")
        return "\n\n".join(blocks) + "\n"

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "node": self.node,
            "version": radnode.__version__,
            "sent_at": self.at.isoformat(),
            "key": self.key,
            "alarms": [
                {
                    "event": each.event,
                    "name": each.alarm.name,
                    "kind": kind_of(each.alarm.name).name,
                    "subject": subject_of(each.alarm.name),
                    "severity": each.alarm.severity,
                    "text": public_words(each.alarm.name, each.alarm.text),
                    "remedy": kind_of(each.alarm.name).remedy,
                    "since": each.alarm.since.isoformat(),
                    "cleared_at": each.alarm.cleared_at.isoformat() if each.alarm.cleared_at else None,
                }
                for each in self.owed
            ],
        }
