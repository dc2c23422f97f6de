"""The pages with pictures over what a test puts in, without a node: see :mod:`support.listed`."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from html import unescape
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image
from sqlalchemy import select

from radnode.config.loading import load
from radnode.node.pages import pictures
from radnode.node.pages.frame import Frame
from radnode.storage.listing_tables import ListedInstanceRow
from radnode.storage.tables import SeriesRow, StudyRow
from support.listed import Held, held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_DATA = re.compile(r"data-(slices|drawn)='([^']*)'")


class Wall:
    """The pages over what is held. study, series, image: row ids as the addresses have them."""

    def __init__(self, web: Held, folder: Path, viewer_url: str | None = None) -> None:
        self.web = web
        config = folder / "radnode.yaml"
        config.write_text(json.dumps({"node": {"data": str(folder / "data"), "viewer_url": viewer_url}}))
        configuration = load(config)
        parts = SimpleNamespace(database=web.database, holdings=web.web.holdings, configuration=lambda: configuration)
        frame = Frame(lambda: configuration)
        app = cast("Any", web.client.app)
        app.state.identity = lambda _request: None
        app.include_router(frame.router())
        app.include_router(pictures.router(cast("Any", parts), frame))

    def study(self, study_instance_uid: str) -> int:
        """Row id."""
        return self._id(select(StudyRow.id).where(StudyRow.study_instance_uid == study_instance_uid))

    def series(self, series_instance_uid: str) -> int:
        """Row id."""
        return self._id(select(SeriesRow.id).where(SeriesRow.series_instance_uid == series_instance_uid))

    def listed(self, sop_instance_uid: str) -> int:
        """Id in the list."""
        return self._id(select(ListedInstanceRow.id).where(ListedInstanceRow.sop_instance_uid == sop_instance_uid))

    def _id(self, statement: Any) -> int:
        with self.web.database.read() as session:
            return int(session.execute(statement).scalar_one())

    def get(self, path: str, status: int = 200) -> Any:
        """An answer with this status."""
        answer = self.web.client.get(path)
        assert answer.status_code == status, answer.text[:500]
        return answer

    def pixels(self, path: str) -> NDArray[Any]:
        """A picture."""
        return np.asarray(Image.open(BytesIO(self.get(path).content)))

    def data(self, path: str) -> Any:
        """What a page gives its script."""
        found = _DATA.search(self.get(path).text)
        assert found is not None, "the page has no data for its script"
        return json.loads(unescape(found[2]))


@contextmanager
def wall(folder: Path, viewer_url: str | None = None) -> Iterator[Wall]:
    """A :class:`Wall` in an empty folder."""
    with held(folder) as web:
        yield Wall(web, folder, viewer_url)
