"""Which series of a study is which input, and why the others are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import mr_study
from support.mr_study import (
    AGENT,
    BRATS,
    FLAIR_SERIES,
    INVERTED,
    LOCALISER,
    T1,
    T1_SERIES,
    T1C_SERIES,
    T2,
    T2_SERIES,
    Sweep,
)

from radnode.pipelines.inputs import Condition, Content, Input
from radnode.pipelines.sources.choice import Choice, Series, choose, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUTS = tuple(Input(name=each.value.lower(), modality="MR", content=each)
               for each in (Content.T1C, Content.T1, Content.T2, Content.FLAIR))


def chosen(sweeps: Sequence[Sweep], inputs: Sequence[Input] = INPUTS, *, registers: bool = False) -> list[Choice]:
    series = [Series(series_instance_uid=each.uid, headers=tuple(mr_study.headers(each))) for each in sweeps]
    return list(choose(series, inputs, registers=registers))


def named(choices: Sequence[Choice]) -> list[str]:
    """Series Description of each input, "" for one that is missing."""
    return [str(each.stack.headers[0].get("SeriesDescription")) if each.stack else "" for each in choices]


def against(choices: Sequence[Choice], name: str, of: Sweep) -> str:
    (found,) = [each.against for choice in choices if choice.name == name for each in choice.judged
                if each.series_instance_uid == of.uid]
    return found


def test_four_series_in_mixed_order_are_told_apart_with_reasons() -> None:
    choices = chosen(BRATS)
    assert named(choices) == ["t1_se_tra_KM", "t1_se_tra", "Ax T2 TSE", "t2_tirm_cor_dark-fluid"]
    assert refusal(choices) == ""
    assert "localiser" in against(choices, "t1", LOCALISER)
    assert against(choices, "t1", T1C_SERIES) == "its name says with contrast medium"
    assert "FLAIR" in against(choices, "t2", FLAIR_SERIES)
    assert all(choice.judged[0].reasons and not choice.judged[0].against for choice in choices)


@pytest.mark.parametrize("left_out", [T1C_SERIES, T1_SERIES, T2_SERIES, FLAIR_SERIES])
def test_a_missing_series_is_named_and_no_other_takes_its_place(left_out: Sweep) -> None:
    choices = chosen([each for each in BRATS if each is not left_out])
    (missing,) = [each for each in choices if each.stack is None]
    assert missing.wanted.endswith(left_out.shows)
    assert f"input {missing.name} (MR, {left_out.shows}) is missing" in refusal(choices)
    assert len(missing.judged) == len(BRATS) - 1
    assert all(each.against for each in missing.judged)


def test_two_equally_good_series_are_refused_with_both_named() -> None:
    again = replace(T2_SERIES, name="Ax T2 TSE rep", time="100900")
    sentence = refusal(chosen((*BRATS, again)))
    assert "input t2 (MR, T2) is not clear" in sentence
    assert f"Ax T2 TSE (series {T2_SERIES.uid}) and Ax T2 TSE rep (series {again.uid})" in sentence or (
        f"Ax T2 TSE rep (series {again.uid}) and Ax T2 TSE (series {T2_SERIES.uid})" in sentence)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"step_mm": (2.5, 3.0, 4.0), "shape": (56, 52, 34)}, ""),
        ({"step_mm": (10.0, 3.0, 4.0), "shape": (14, 52, 34)}, "its voxels are finer"),
        ({"more": {**T2, "ImageType": ["DERIVED", "SECONDARY", "MPR"]}}, "it is original"),
        ({"step_mm": (1.0, 1.0, 1.0), "shape": (20, 60, 60)}, "covers"),
        ({"frame": "1.2.3"}, "frame of reference"),
    ],
)
def test_of_two_series_the_better_one_is_taken_and_the_reason_said(other: dict[str, Any], reason: str) -> None:
    second = replace(T2_SERIES, **{"name": "T2 second", "time": "100900", **other})
    choices = chosen((*BRATS, second))
    better = T2_SERIES if reason else second
    assert named(choices)[2] == better.name
    if reason:
        assert reason in against(choices, "t2", second)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"more": {**T2}}, "say T2, its name T1"),
        ({"more": {**T1, **AGENT}, "name": "t1_se_tra ohne KM"}, "Contrast/Bolus Agent says"),
        ({"name": "t1 pre and post"}, "both with and without"),
        ({"time": "103000"}, "acquired after the first series with contrast medium"),
        ({"name": "sub t1"}, "made of other images"),
        ({"name": "t1_map"}, "something else"),
        ({"frame": "1.2.3"}, "frame of reference is not that of the reference"),
        ({"centre_mm": (0.0, 0.0, 90.0)}, "of the reference, 80% are wanted"),
        ({"shape": (1, 50, 44)}, "no stack"),
        ({"more": {"RepetitionTime": None}, "name": "head"}, "neither its name nor its times"),
    ],
)
def test_a_series_that_contradicts_itself_or_does_not_fit_is_not_taken(changed: dict[str, Any], reason: str) -> None:
    doubtful = replace(T1_SERIES, **changed)
    choices = chosen([doubtful if each is T1_SERIES else each for each in BRATS])
    assert reason in against(choices, "t1", doubtful)
    assert choices[1].stack is None


def test_a_protocol_that_speaks_of_the_whole_examination_tells_no_series_apart() -> None:
    protocol = {"ProtocolName": "Head with contrast"}
    choices = chosen([replace(each, more={**each.more, **protocol}) for each in BRATS])
    assert named(choices)[:2] == ["t1_se_tra_KM", "t1_se_tra"]


def test_a_contrast_agent_in_every_series_tells_nothing_and_the_name_decides() -> None:
    everywhere = [replace(each, more={**each.more, **AGENT}) for each in BRATS]
    assert named(chosen(everywhere))[:2] == ["t1_se_tra_KM", "t1_se_tra"]
    unnamed = [replace(each, name="t1_se_tra 2") if each.shows == "T1c" else each for each in everywhere]
    sentence = refusal(chosen(unnamed))
    assert "input t1c (MR, T1c) is missing" in sentence
    assert "nothing says that contrast medium was given" in sentence


def test_names_that_say_nothing_are_decided_by_the_times_of_the_sequence() -> None:
    plain = [replace(each, name=f"series {number}") for number, each in enumerate(BRATS) if each is not LOCALISER]
    choices = chosen(plain)
    assert [each.stack.series_instance_uid if each.stack else "" for each in choices] == [
        next(one.uid for one in plain if one.shows == shows) for shows in ("T1c", "T1", "T2", "FLAIR")]


def test_conditions_of_the_manifest_are_met_by_every_slice_or_the_reason_is_said() -> None:
    coronal = Input(name="flair", modality="MR", content=Content.FLAIR, plane="axial")
    assert "it is coronal, not axial" in refusal(chosen(BRATS, [coronal]))
    fine = Input(name="t2", modality="MR", content=Content.T2, largest_spacing_mm=3.0)
    assert "up to 3 are wanted" in refusal(chosen(BRATS, [fine]))
    long_echo = Condition(keyword="EchoTime", at_least=100)
    assert "its EchoTime is 95" in refusal(chosen(BRATS, [replace(fine, largest_spacing_mm=None, where=(long_echo,))]))
    by_name = Condition(keyword="SeriesDescription", matches="^t2_tirm")
    assert named(chosen(BRATS, [Input(name="x", modality="MR", where=(by_name,))])) == [FLAIR_SERIES.name]


def diffusion(b_value: int, time: str = "100000") -> Sweep:
    return Sweep(name="ep2d_diff", shows="T2", time=time, more={"DiffusionBValue": float(b_value)})


def test_the_b_value_that_is_wanted_is_taken_out_of_a_series_that_holds_several() -> None:
    mixed = [header for value in (0, 50, 1400) for header in mr_study.headers(diffusion(value))]
    for number, header in enumerate(mixed):
        header.SOPInstanceUID = f"2.25.{number + 1}"
    series = [Series(series_instance_uid="2.25.9", headers=tuple(mixed))]
    (high,) = choose(series, [Input(name="hbv", modality="MR", content=Content.HIGH_B)], registers=False)
    assert high.stack is not None
    assert {header.get("DiffusionBValue") for header in high.stack.headers} == {1400.0}
    assert len(high.stack.headers) == 22
    (low,) = choose(series, [Input(name="low", modality="MR", content=Content.LOW_B)], registers=False)
    assert low.stack is None
    assert "b-value 0" in low.reason
    assert "b-value 50" in low.reason


def test_registration_permitted_takes_another_frame_of_reference_only_where_none_is_shared() -> None:
    elsewhere = replace(T2_SERIES, name="T2 elsewhere", frame="1.2.3")
    without = [each for each in BRATS if each is not T2_SERIES]
    assert named(chosen([*without, elsewhere], registers=True))[2] == "T2 elsewhere"
    assert named(chosen([*BRATS, elsewhere], registers=True))[2] == T2_SERIES.name


def ct(name: str, time: str, **more: Any) -> Sweep:
    return Sweep(name=name, shows="T1", time=time, more={
        "Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "RescaleSlope": 1, "RescaleIntercept": 0, **more})


PHASES = tuple(Input(name=each.value, modality="CT", content=each)
               for each in (Content.ARTERIAL, Content.VENOUS, Content.DELAYED))
THREE = (ct("Abdomen delayed 5 min", "101000"), ct("Abdomen venous", "100400"), ct("Abdomen art 1.0", "100100"))


def test_phases_of_a_ct_are_taken_by_name_and_refused_when_their_times_contradict() -> None:
    assert named(chosen(THREE, PHASES)) == ["Abdomen art 1.0", "Abdomen venous", "Abdomen delayed 5 min"]
    swapped = (THREE[0], ct("Abdomen venous", "100100"), ct("Abdomen art 1.0", "100400"))
    assert "was not acquired after" in refusal(chosen(swapped, PHASES))


def test_a_phase_whose_time_after_injection_contradicts_its_name_is_not_taken() -> None:
    late = ct("Abdomen art 1.0", "100300", ContrastBolusStartTime="100000")
    assert "180 s after the injection began" in refusal(chosen([*THREE[:2], late], PHASES))
    unnamed = ct("Abdomen 1.0", "100030", ContrastBolusStartTime="100000", ContrastBolusAgent="Iomeprol")
    assert named(chosen([*THREE[:2], unnamed], PHASES))[0] == "Abdomen 1.0"


def test_an_inversion_time_makes_what_is_named_t2_a_flair() -> None:
    tirm = Sweep(name="t2_tirm_tra", shows="FLAIR", more=INVERTED)
    assert named(chosen([tirm], [INPUTS[3]])) == ["t2_tirm_tra"]
    assert named(chosen([tirm], [INPUTS[2]])) == [""]
