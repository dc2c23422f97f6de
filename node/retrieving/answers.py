"""What is asked, what came and what did not, for the page and the command line; and what is asked by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from radnode.node.retrieving.archive import Question
from radnode.node.retrieving.opening import open_archive
from radnode.storage import fetches
from radnode.storage.database import Database
from radnode.storage.fetches import Wish

if TYPE_CHECKING:
    from radnode.config.loading import Configuration

NOT_CONFIGURED = "it is not configured any more"


class NotListed(Exception):
    """The archive lists no such study."""


def overview(database: Database, configuration: Configuration) -> dict[str, Any]:
    """`pulls`: each with when it asked last and what it was told. `fetches`: the newest, with what failed first."""
    with database.read() as session:
        known, shown = fetches.pulls(session), fetches.shown(session)
    rows = []
    for pull in configuration.retrieving.pulls:
        row = known.get(pull.name)
        rows.append({
            "pull": pull.name, "archive": pull.source, "schedule": pull.schedule, "enabled": pull.enabled,
            "asked_at": row.asked_at if row else None, "answered_at": row.answered_at if row else None,
            "found": row.found if row else 0, "wanted": row.new if row else 0, "reason": row.reason if row else "",
        })
    for each in shown:
        if each["archive"] not in configuration.retrieving.archives and each["due_at"] is not None:
            each["reason"] = f"archive {each['archive']}: {NOT_CONFIGURED}"
    return {"pulls": rows, "fetches": shown}


def fetch_by_hand(
    configuration: Configuration, archive: str, *, study_instance_uid: str = "", accession_number: str = ""
) -> list[str]:
    """Have the node fetch a study, or those of an accession number; returns their UIDs.

    The archive is asked here and now whether it has them. The node, running or not, finds the rows. Raises
    :class:`NotListed`, :class:`~radnode.node.association.PeerUnreachable`.
    """
    question = Question(study_instance_uid=study_instance_uid, accession_number=accession_number)
    found = {
        each.study_instance_uid: each for each in open_archive(configuration, archive).studies(question)
        if (each.study_instance_uid == study_instance_uid if study_instance_uid
            else each.accession_number == accession_number)
    }
    if not found:
        raise NotListed(f"{archive} lists no such study")
    database = Database(configuration.settings.effective_database_url)
    try:
        database.upgrade()
        with database.begin() as session:
            for each in found.values():
                wish = Wish(archive=archive, study_instance_uid=each.study_instance_uid, wanted_by="by hand",
                            listed=each.instances)
                fetches.want(session, wish, datetime.now(UTC), again=True)
    finally:
        database.close()
    return sorted(found)
