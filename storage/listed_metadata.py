"""Headers that were served once: kept with the listed instance, gone with it, made anew when its bytes are others."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from radnode.storage.dialects import insert_for
from radnode.storage.ledger import portions
from radnode.storage.listing_tables import ListedInstanceRow, ListedMetadataRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from radnode.storage.listing_queries import InstanceFound

MAKER = 1
"""Raise it when headers are made otherwise: what was kept before is made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """document: DICOM JSON. layout: where native frames lie, None where they have to be looked for."""

    document: bytes
    layout: dict[str, Any] | None


def kept(session: Session, instances: Sequence[InstanceFound]) -> dict[int, Metadata]:
    """Listed instance -> its header, of those that were served before."""
    made_of = {each.id: _made_of(each) for each in instances}
    found = {}
    for some in portions(made_of):
        rows = session.execute(
            select(ListedMetadataRow.listed_instance_id, ListedMetadataRow.made_of, ListedMetadataRow.document,
                   ListedMetadataRow.layout)
            .where(ListedMetadataRow.listed_instance_id.in_(some))
        )
        for number, made, document, layout in rows:
            if made == made_of[number]:
                found[number] = Metadata(document=zlib.decompress(document), layout=layout)
    return found


def keep(session: Session, headers: Sequence[tuple[InstanceFound, Metadata]]) -> None:
    """Keep headers of instances that are still listed."""
    for some in portions(headers):
        listed = set(session.scalars(
            select(ListedInstanceRow.id).where(ListedInstanceRow.id.in_([each.id for each, _ in some]))
            .with_for_update(key_share=True)
        ))
        rows = [
            {"listed_instance_id": each.id, "made_of": _made_of(each),
             "document": zlib.compress(metadata.document, 1), "layout": metadata.layout}
            for each, metadata in some if each.id in listed
        ]
        if not rows:
            continue
        statement = insert_for(session, ListedMetadataRow)
        said = {name: statement.excluded[name] for name in ("made_of", "document", "layout")}
        session.execute(
            statement.on_conflict_do_update(index_elements=["listed_instance_id"], set_=said), rows
        )


def _made_of(instance: InstanceFound) -> str:
    return f"{MAKER}:{instance.digest}"
