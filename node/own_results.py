"""Recognising what radnode itself has made when a PACS sends it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_NAME = "radnode"


def is_own_result(attributes: Mapping[str, Any]) -> bool:
    """Whether an instance was made by radnode, by what is in it.

    A PACS that stores by STOW-RS keeps no sending AE title, so nothing outside the object can tell. Another system's
    object derived from ours names us as contributing equipment: that is its result, not ours, and is no loop.
    """
    return bool(str(attributes.get("Manufacturer", "")).strip().lower() == OWN_NAME)
