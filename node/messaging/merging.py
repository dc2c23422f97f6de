"""Merges of patients (IHE PIR: ADT^A40 and its like), as far as they concern what is here.

No image is changed: its patient is whom it names. An order of the surviving patient may be one of these images, and no
result made of them goes out under the identifier that is out of use unless a person releases it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.messaging import contexts
from radnode.node.messaging.matching import same_identifier
from radnode.node.messaging.reading import MERGES
from radnode.storage import merges
from radnode.storage.catalog import add_event
from radnode.storage.merges import Merge

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.orders import PatientChange


def take(session: Session, sender: str, change: PatientChange, now: datetime) -> None:
    """Keep a merge that was told, and say so in the timeline of each study that it concerns."""
    if change.event not in MERGES:
        return
    gone = [each for each in change.priors if not any(same_identifier(each, one) for one in change.patients)]
    for patient in gone:
        merges.record(session, Merge(sender=sender, patient=patient, survivors=change.patients, at=now))
    for study_id in merges.studies_under(session, [each[0] for each in gone]):
        if contexts.merge_of(session, study_id) is None:
            continue
        add_event(session, "patient merged", detail={"sender": sender, "event": change.event}, now=now,
                  study_id=study_id)
        contexts.attach(session, study_id, now)
