"""What somebody elsewhere needs to find a fault, without whom the images are of: one zip archive of texts.

Every text goes through :class:`Concealing`: UIDs and digests become pseudonyms that mean the same within one archive
and nothing outside it; links, tokens and passwords become dots. Texts of alarms are those that mails say: no words of
a peer or a file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
import re
import secrets
import sys
import zipfile
from dataclasses import asdict
from importlib import metadata
from io import BytesIO
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest
from sqlalchemy import inspect

import radnode
from radnode.node.alarming.kinds import public_words
from radnode.node.configuring import concealed
from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.answers import Answers
    from radnode.node.doctor.finding import Finding
    from radnode.node.observability import Metrics
    from radnode.pipelines.registry import Registry
    from radnode.storage.database import Database

_UID = re.compile(r"(?<![\w.])[0-2](?:(?:\.\d+){4,}|\.\d+\.\d{6,}[\d.]*)(?!\w)")
"""Five parts or more, or a long number in the third (2.25 and a UUID); versions and addresses have less."""
_STANDARD = "1.2.840.10008."
"""PS3.6 Annex A: what the standard names tells of no patient."""
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{32,128}(?![0-9a-f])")
_SECRET = (re.compile(r"(/link/)[\w-]+"), re.compile(r"(radnode_)[\w-]{40,}"), re.compile(r"((?i:bearer )).[\w.~+/-]+"))
_README = """radnode diagnostics, made {at} by radnode {version}

versions.json       radnode, Python, the system, installed packages and pipelines
doctor.json         what `radnode doctor` says
configuration.yaml  the file; secrets are in files that are not here, only their names
metrics.txt         the figures of /metrics
alarms.json         what is wrong, in the words that mails say
queue.json          ledger, series, jobs and deliveries by state
events.jsonl        the last log events of the running node
schema.json         tables, columns and indexes

No patient is named. UIDs and digests are pseudonyms that hold within this archive alone. Hosts, AE titles, names of
routes, accounts and folders are as they are in your configuration: look through it before you give it away.
"""


class Concealing:
    """For one archive; the key is forgotten with it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def text(self, text: str) -> str:
        """The same without what tells of a patient or opens a door."""
        for pattern in _SECRET:
            text = pattern.sub(r"\1…", text)
        text = _UID.sub(lambda found: self._uid(found.group()), concealed(text))
        return _DIGEST.sub(lambda found: f"digest-{self._name(found.group())}", text)

    def _uid(self, uid: str) -> str:
        return uid if uid.startswith(_STANDARD) else f"uid-{self._name(uid)}"

    def _name(self, value: str) -> str:
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:12]


def archive(
    *, configuration: Configuration, database: Database, answers: Answers, registry: Registry, now: datetime,
    findings: Callable[[], Sequence[Finding]], metrics: Metrics | None = None, events: Sequence[str] = (),
) -> bytes:
    """A zip archive. metrics, events: of the running node; beside it there are none. What cannot be had says why."""
    text = configuration.path.read_text(encoding="utf-8") if configuration.path else ""
    members: Mapping[str, str] = {
        "README.txt": _README.format(at=now.isoformat(timespec="seconds"), version=radnode.__version__),
        "versions.json": _json(_versions(registry)),
        "doctor.json": _json([asdict(each) for each in findings()]),
        "configuration.yaml": text,
        "metrics.txt": generate_latest(metrics.registry).decode() if metrics else "the node was not asked\n",
        "alarms.json": _json(_or_why(lambda: _alarms(answers))),
        "queue.json": _json(_or_why(lambda: _queue(answers))),
        "events.jsonl": "\n".join(events) or "the node was not asked: its log is where standard error goes\n",
        "schema.json": _json(_or_why(lambda: _schema(database))),
    }
    concealing, out = Concealing(), BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, said in members.items():
            file.writestr(f"radnode-diagnostics/{name}", concealing.text(said))
    return out.getvalue()


def _versions(registry: Registry) -> dict[str, Any]:
    packages = {str(each.metadata["Name"]): each.version for each in metadata.distributions()}
    pipelines = {name: each.version for name, each in registry.manifests.items()}
    return {
        "radnode": radnode.__version__, "python": sys.version, "system": platform.platform(),
        "machine": platform.machine(), "pipelines": pipelines, "refused": dict(registry.refused),
        "packages": dict(sorted(packages.items(), key=lambda each: each[0].lower())),
    }


def _alarms(answers: Answers) -> list[dict[str, Any]]:
    return [{**each, "text": public_words(each["name"], each["text"])} for each in answers.alarms(history=True)]


def _queue(answers: Answers) -> dict[str, Any]:
    status = answers.status()
    status.pop("alarms")
    for each in status["outages"]:
        each.pop("reason")
    return status


def _schema(database: Database) -> dict[str, Any]:
    found = inspect(database.engine)
    return {
        "state": database.schema(), "kind": database.engine.name,
        "tables": {
            table: {
                "columns": [f"{each['name']} {each['type']}" for each in found.get_columns(table)],
                "indexes": sorted(str(each["name"]) for each in found.get_indexes(table)),
            } for table in sorted(found.get_table_names())
        },
    }


def _or_why(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except DatabaseUnavailable as error:
        return {"not available": str(error)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False)
