"""A file in which a model describes itself is read whole, as names and values, or refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from radnode.pipelines.models import json_file
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", r"spleen: plans.json cannot be read \(JSONDecodeError\); bring it anew"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"[" * 100_000, r"cannot be read \(RecursionError\)"),
        (b"[1]", "spleen: plans.json holds no names and values"),
        (b"{}" + b" " * json_file.LARGEST, "spleen: plans.json is larger than 16 MiB"),
    ],
    ids=["half", "no text", "nested", "a list", "large"],
)
def test_what_is_no_description_is_refused_for_what_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    folder = tmp_path / "spleen"
    folder.mkdir()
    (folder / "plans.json").write_bytes(content)
    with pytest.raises(StoreError, match=says):
        json_file.read(folder, "plans.json", cure="bring it anew")
