"""Who may do what over HTTP: each route names the permission that it needs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from fastapi import Depends, Request


class Permission(StrEnum):
    """What a role may hold."""

    STATE = "state"
    """Queues, alarms, figures: nothing of a patient."""
    STUDIES = "studies"
    """Studies, images and results, with their patients."""
    ACT = "act"
    """Run again, send again, hold, discard, fetch."""
    CONFIGURE = "configure"
    """Routes, sources, destinations, settings, models."""
    ACCOUNTS = "accounts"
    """Users, roles and tokens."""
    AUDIT = "audit"
    """The audit trail."""


def needs(permission: Permission) -> Any:
    """A dependency of a route: 401 without an identity, 403 without the permission."""

    def check(request: Request) -> None:
        if (permits := getattr(request.app.state, "permits", None)) is not None:
            permits(request, permission)

    return Depends(check)
