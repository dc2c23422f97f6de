"""What an administrator can get wrong about a destination outside the hospital."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from ruamel.yaml import YAML

from radnode.config.loading import ConfigError, parse
from radnode.config.references import check_references

INSIDE = {"ae_title": "PACS", "host": "h", "port": 104, "receives": True}
MASK = {"manufacturer": "A", "model": "B", "rows": 8, "columns": 8, "boxes": [[0, 0, 8, 2]]}


def configured(lane: dict[str, Any], *, routes: Any = (), archives: Any = None, **peer: Any) -> Any:
    """A node with this destination outside."""
    outside = {"ae_title": "OUT", "host": "h", "port": 104, "receives": True, **peer,
               "deidentify": {"secret_file": "/etc/secret", **lane}}
    document = {"node": {"data": "/srv/radnode"}, "peers": {"PACS": INSIDE, "OUT": outside}, "routes": list(routes),
                "archives": archives or {}}

    text = StringIO()
    YAML(typ="safe").dump(document, text)
    return parse(text.getvalue(), "radnode.yaml")


@pytest.mark.parametrize(("lane", "peer", "message"), [
    ({"retain": ["faces"]}, {}, "device"),
    ({"clean": ["visual-features"]}, {}, "faces"),
    ({"clean": ["pixels"]}, {}, "go together"),
    ({"masks": [MASK]}, {}, "go together"),
    ({"clean": ["pixels"], "masks": [{**MASK, "boxes": [[4, 0, 2, 2]]}]}, {}, "left before right"),
    ({"secret_file": "/srv/radnode/secret"}, {}, "beside what it opens"),
    ({}, {"receives": False}, "nothing is sent there"),
    ({}, {"answers_find": True}, "names that it must not know"),
    ({}, {"commitment": True}, "names that it must not know"),
    ({}, {"sends": True}, "nobody gets what comes back"),
    ({"returns_to": ["PACS"]}, {}, "nothing comes from it"),
    ({"returns_to": ["PACS1"]}, {"sends": True}, 'no peer "PACS1"'),
    ({"returns_to": ["OUT"]}, {"sends": True}, 'no peer "OUT"'),
    ({"returns_to": ["PACS"], "retain": ["uids"]}, {"sends": True}, "taken for theirs"),
])
def test_a_lane_that_would_leak_or_lose_is_refused(lane: dict[str, Any], peer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(lane, **peer)
    assert message in str(refused.value)


def test_a_lane_with_its_way_back_is_read() -> None:
    found = configured({"clean": ["pixels"], "masks": [MASK], "returns_to": ["PACS"]}, sends=True)
    assert found.peers["OUT"].deidentify.masks[0].boxes == ((0, 0, 8, 2),)


def test_nobody_outside_is_asked_for_the_images_of_a_patient() -> None:
    with pytest.raises(ConfigError, match="asked for patients that it must not know"):
        configured({"returns_to": ["PACS"]}, sends=True, archives={"OUT": {}})


def test_images_are_forwarded_outside_only_and_need_neither_pipeline_nor_result() -> None:
    route = {"name": "r", "when": {"modality": "CT"}, "forward": ["OUT"]}
    found = configured({}, routes=[route])
    assert found.routes[0].forward == ("OUT",)
    assert check_references(found, []) == []
    inside = configured({}, routes=[{**route, "forward": ["PACS"]}])
    (problem,) = check_references(inside, [])
    assert "forward" in problem.message
    with pytest.raises(ConfigError, match="send"):
        configured({}, routes=[{**route, "run": ["ct-lung"]}])
