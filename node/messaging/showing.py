"""What is known of a study's order, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.node.messaging import contexts
from radnode.storage import orders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session


def order_of(session: Session, study_id: int) -> dict[str, Any] | None:
    """As JSON; None where no order was told."""
    found = orders.context_of(session, study_id)
    return None if found is None else {"sender": found.sender, "conflict": found.conflict, **found.context}


def merged_of(session: Session, study_id: int) -> dict[str, Any] | None:
    """A merge that took the patient's identifier of a study out of use, as JSON; None where none was told."""
    found = contexts.merge_of(session, study_id)
    return None if found is None else {"sender": found.sender, "at": found.at.isoformat(),
                                       "into": list(dict.fromkeys(each[0] for each in found.survivors))}


def render_merged(merged: Mapping[str, Any] | None) -> str:
    """In a sentence; empty where no merge was told."""
    if merged is None:
        return ""
    return (f"patient merged, as {merged['sender']} says: now {', '.join(merged['into'])}; the images still name the "
            "former, and no result of them is sent unless it is released")


def render(order: Mapping[str, Any] | None) -> str:
    """In sentences; empty where no order was told."""
    if order is None:
        return ""
    if order["conflict"]:
        return f"order of {order['sender']}: not taken: {order['conflict']}"
    said = ", ".join(f"{name.replace('_', ' ')} {order[name]}"
                     for name in ("priority", "procedure", "reason", "patient_class") if order.get(name))
    return f"order of {order['sender']}: {said or 'it says nothing that is used'}"
