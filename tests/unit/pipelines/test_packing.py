"""Which models give way on a device, by what they were measured to take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radnode.pipelines.packing import (
    HEADROOM,
    Footprint,
    Resident,
    running_need,
    size_class,
    to_evict,
    with_run,
)

MB = 10**6
SIZES = st.integers(0, 40_000)
RESIDENTS = st.lists(
    st.builds(Resident, name=st.text("abcdefgh", min_size=1, max_size=8), held=SIZES,
              load_s=st.floats(0, 60), idle_s=st.floats(0, 1e6)),
    unique_by=lambda each: each.name, max_size=6,
)  # fmt: skip


def resident(name: str, held: int, *, load_s: float = 1.0, idle_s: float = 0.0) -> Resident:
    return Resident(name=name, held=held, load_s=load_s, idle_s=idle_s)


def test_nothing_gives_way_while_everything_fits() -> None:
    assert to_evict([resident("a", 500)], needed=100, free=111) == ()


def test_the_one_that_nobody_asked_for_longest_gives_way_first() -> None:
    models = [resident("old", 500, idle_s=900), resident("new", 500, idle_s=5)]
    assert to_evict(models, needed=300, free=0) == ("old",)


def test_one_that_takes_long_to_load_stays_before_one_that_is_quickly_there_again() -> None:
    models = [resident("slow", 500, load_s=60, idle_s=30), resident("quick", 500, load_s=1, idle_s=20)]
    assert to_evict(models, needed=300, free=0) == ("quick",)


def test_a_small_one_stays_when_a_larger_one_has_to_go_anyway() -> None:
    models = [resident("small", 50, idle_s=900), resident("large", 900, idle_s=5)]
    assert to_evict(models, needed=800, free=0) == ("large",)


@given(RESIDENTS, SIZES, SIZES)
def test_what_is_dropped_makes_room_if_anything_can_and_none_is_dropped_in_vain(
    residents: list[Resident], needed: int, free: int
) -> None:
    held = {each.name: each.held for each in residents}
    dropped = to_evict(residents, needed, free)
    room = free + sum(held[name] for name in dropped)
    assert room >= needed * HEADROOM or set(dropped) == set(held)
    if room >= needed * HEADROOM:
        assert all(room - held[name] < needed * HEADROOM for name in dropped)


def test_before_its_first_run_a_model_needs_what_its_manifest_says() -> None:
    assert running_need(None, size_class(1000), declared=700) == 700
    assert running_need(Footprint(loaded=5), size_class(1000), declared=700) == 700


def test_after_a_run_a_model_needs_the_most_that_was_measured_at_that_size() -> None:
    size = size_class(30 * MB)
    measured = with_run(with_run(Footprint(), size, 900), size, 600)
    assert running_need(measured, size, declared=1) == 900


def test_a_size_that_was_never_run_is_estimated_from_its_neighbours() -> None:
    measured = Footprint(running={size_class(1 * MB): 100, size_class(16 * MB): 1500})
    assert running_need(measured, size_class(8 * MB), declared=1) == 1500
    assert running_need(measured, size_class(64 * MB), declared=1) == 6000
