"""Pseudonyms in use, each with what it stands for, encrypted; and who looked one up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from radnode.storage import ledger
from radnode.storage.dialects import insert_for
from radnode.storage.transfer_tables import PseudonymRow, ReidentificationRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session


def missing(session: Session, domain: str, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of (kind, pseudonym) that are not kept yet."""
    wanted = set(wanted)
    return wanted - sealed(session, domain, wanted).keys()


def keep(session: Session, domain: str, entries: Iterable[tuple[str, str, bytes]], now: datetime) -> None:
    """(kind, pseudonym, sealed); what is kept already stays as it is."""
    for some in ledger.portions(entries, 200):
        session.execute(
            insert_for(session, PseudonymRow)
            .values([
                {"domain": domain, "kind": kind, "pseudonym": pseudonym, "sealed": content, "first_used_at": now}
                for kind, pseudonym, content in some
            ])
            .on_conflict_do_nothing(index_elements=["domain", "kind", "pseudonym"])
        )


def sealed(session: Session, domain: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """(kind, pseudonym) -> what is sealed, of those that are kept."""
    by_kind: dict[str, list[str]] = {}
    for kind, pseudonym in wanted:
        by_kind.setdefault(kind, []).append(pseudonym)
    found = {}
    for kind, names in by_kind.items():
        for some in ledger.portions(names):
            rows = session.execute(
                select(PseudonymRow.pseudonym, PseudonymRow.sealed).where(
                    PseudonymRow.domain == domain, PseudonymRow.kind == kind, PseudonymRow.pseudonym.in_(some)
                )
            )
            found.update({(kind, pseudonym): content for pseudonym, content in rows})
    return found


def note_access(
    session: Session, *, who: str, why: str, domain: str, pseudonym: str, found: bool, now: datetime
) -> None:
    """Somebody learns, or tries to learn, whose pseudonym this is."""
    session.execute(
        insert(ReidentificationRow).values(
            at=now, who=who, why=why, domain=domain, pseudonym=pseudonym, found=found
        )
    )
