"""One Java machine for all tests of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import pixelmed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _pixelmed_awake() -> Iterator[None]:
    with pixelmed.kept_awake():
        yield
