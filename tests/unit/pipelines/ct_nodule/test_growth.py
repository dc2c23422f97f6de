"""The same nodule in an earlier CT: matched by place, kept under its identity, and no growth said without a reason."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from radnode.pipelines.ct_nodule.growth import Seen, compared, doubling, over_lung

THEN, NOW = date(2026, 1, 1), date(2026, 4, 1)
RNG = np.random.default_rng(0)
LUNG = RNG.uniform(-1, 1, (4000, 3)) * np.array([60.0, 90.0, 120.0]) + np.array([80.0, 0.0, 0.0])
# A deeper breath: longer towards the feet, the patient somewhere else on the table.
BREATH = np.array([1.02, 1.05, 1.2]), np.array([5.0, -12.0, 300.0])


def seen(name: str, center: tuple[float, float, float], volume: float = 500.0, side: str = "left") -> Seen:
    return Seen(tracking_uid=f"2.25.{sum(name.encode())}", tracking_id=name, side=side, center_lps=center,
                volume_mm3=volume)


def breathed(center: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(each) for each in np.array(center) * BREATH[0] + BREATH[1])
    return x, y, z


OVER = {"left": over_lung(LUNG, LUNG * BREATH[0] + BREATH[1])}


def test_nodules_are_found_again_after_another_breath_on_another_place_of_the_table() -> None:
    places = [(60.0, 20.0, 80.0), (100.0, -40.0, -60.0), (70.0, 20.0, 50.0)]
    before = [seen(f"then {number}", place) for number, place in enumerate(places)]
    now = [seen(f"now {number}", breathed(place)) for number, place in enumerate(places)][::-1]
    found, gone = compared(now, before, OVER, (THEN, NOW))
    assert [each.before for each in found] == before[::-1]
    assert gone == []


def test_a_nodule_keeps_the_tracking_identity_that_it_had() -> None:
    ((found,), _) = compared([seen("now", breathed((60.0, 20.0, 80.0)))], [seen("then", (60.0, 20.0, 80.0))], OVER,
                             (THEN, NOW))
    assert found.identity == (seen("then", (0, 0, 0)).tracking_uid, "then")


def test_a_new_nodule_and_one_that_is_gone_are_no_pair() -> None:
    found, gone = compared([seen("now", breathed((60.0, 20.0, 80.0)))], [seen("then", (60.0, 20.0, 40.0))], OVER,
                           (THEN, NOW))
    assert found[0].before is None
    assert found[0].identity[1] == "now"
    assert [each.tracking_id for each in gone] == ["then"]


def test_nodules_of_the_two_lungs_are_never_a_pair() -> None:
    place = (60.0, 20.0, 80.0)
    found, _ = compared([seen("now", breathed(place))], [seen("then", place, side="right")],
                        {**OVER, "right": OVER["left"]}, (THEN, NOW))
    assert found[0].before is None


def test_a_volume_that_doubled_has_the_time_between_as_its_doubling_time() -> None:
    found = doubling(400.0, 800.0, 90)
    assert found.time_days == pytest.approx(90)
    assert found.between_days is not None
    assert found.between_days[0] < 90 < found.between_days[1]


def test_a_nodule_that_shrank_has_a_negative_doubling_time() -> None:
    assert doubling(800.0, 400.0, 90).time_days == pytest.approx(-90)


@pytest.mark.parametrize("ratio", [1.0, 1.2, 1 / 1.2])
def test_a_change_within_the_error_of_measurement_is_no_growth(ratio: float) -> None:
    assert doubling(500.0, 500.0 * ratio, 90).time_days is None


def test_two_series_of_one_day_are_no_two_times() -> None:
    with pytest.raises(ValueError, match="later day"):
        compared([seen("now", (0, 0, 0))], [seen("then", (0, 0, 0))], OVER, (NOW, NOW))


def test_a_lung_of_another_size_is_not_laid_over() -> None:
    with pytest.raises(ValueError, match="another size"):
        over_lung(LUNG, LUNG * np.array([1.0, 1.0, 0.5]))
