"""What radnode has made is recognised by what is in it."""

from __future__ import annotations

import pytest

from radnode.node.own_results import is_own_result


@pytest.mark.catalogue("S8")
@pytest.mark.parametrize(
    ("attributes", "own"),
    [
        ({"Manufacturer": "radnode"}, True),
        ({"Manufacturer": " RADNODE "}, True),
        ({"Manufacturer": "SIEMENS"}, False),
        ({}, False),
        ({"Manufacturer": "SIEMENS", "(0002,0016)": "RADNODE"}, False),
    ],
)
def test_an_object_is_ours_by_its_manufacturer_alone(attributes: dict[str, str], own: bool) -> None:
    assert is_own_result(attributes) is own
