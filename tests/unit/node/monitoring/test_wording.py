"""Figures are called as a study's page calls them."""

from __future__ import annotations

import pytest

from radnode.node.pages.monitoring.wording import figure_name


@pytest.mark.parametrize(("figure", "said"), [
    ("measure/Right lung: Volume [mm3]", "Right lung: Volume (mm³)"),
    ("measure/Attenuation Coefficient (Mean) [[hnsf'U]]", "Attenuation Coefficient (Mean) (HU)"),
    ("measure/Number of nodules [{nodules}]", "Number of nodules"),
    ("measure/Ratio [1]", "Ratio"),
    ("measure/Volume", "Volume"),
    ("measure/A name that was cut [mm", "A name that was cut [mm"),
    ("protocol/SliceThickness", "Slice thickness (mm)"),
    ("protocol/FlipAngle", "FlipAngle"),
])
def test_a_measurement_is_named_with_the_unit_that_a_reader_writes(figure: str, said: str) -> None:
    assert figure_name(figure, str) == said
