"""What is known of a study's order, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.storage import orders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session


def order_of(session: Session, study_id: int) -> dict[str, Any] | None:
    """As JSON; None where no order was told."""
    found = orders.context_of(session, study_id)
    return None if found is None else {"sender": found.sender, "conflict": found.conflict, **found.context}


def render(order: Mapping[str, Any] | None) -> str:
    """In sentences; empty where no order was told."""
    if order is None:
        return ""
    if order["conflict"]:
        return f"order of {order['sender']}: not taken: {order['conflict']}"
    said = ", ".join(f"{name.replace('_', ' ')} {order[name]}"
                     for name in ("priority", "procedure", "reason", "patient_class") if order.get(name))
    return f"order of {order['sender']}: {said or 'it says nothing that is used'}"
