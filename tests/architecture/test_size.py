"""A module that needs more is two modules."""

from __future__ import annotations

from support.sources import modules

LIMIT = 400  # code lines; documentation is not counted, so that nobody pays for it in modules


def test_no_module_has_more_than_400_code_lines() -> None:
    sizes = {module.name: module.code_lines() for module in modules()}
    assert sizes
    assert {name: lines for name, lines in sizes.items() if lines > LIMIT} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = ("util", "utils", "helper", "helpers", "misc", "common_utils", "manager")
    stems = {module.name: module.name.rpartition("/")[2].removesuffix(".py") for module in modules()}
    assert [name for name, stem in stems.items() if stem in drawers] == []
