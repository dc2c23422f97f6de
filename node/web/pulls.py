"""What the node fetches, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.node.retrieving.answers import overview
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from radnode.config.loading import Configuration
    from radnode.storage.database import Database


def with_pulls(app: FastAPI, database: Database, configuration: Callable[[], Configuration]) -> FastAPI:
    """The application with GET /api/pulls."""

    @app.get("/api/pulls", dependencies=[needs(Permission.STUDIES)])
    def pulls() -> dict[str, Any]:
        """What is asked of archives, what came, what failed and will be tried again."""
        return overview(database, configuration())

    return app
