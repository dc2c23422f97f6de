"""Which series of a study is which input of a pipeline, and for every other why not. Pure; headers alone.

What speaks for a series, in this order: it shares the reference's frame of reference; it says itself what it shows; it
is original; it covers no less than half of what the largest one does; it is finer. Two that are equal in all of this
are refused, both by name: nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from radnode.pipelines.inputs import Content
from radnode.pipelines.sources.content import Unfit, contrast_said, evidence, is_derived, name_of
from radnode.pipelines.sources.exclusion import reason_to_exclude
from radnode.pipelines.sources.headers import numbers
from radnode.pipelines.sources.stacks import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.inputs import Condition, Input
    from radnode.pipelines.sources.content import Header
    from radnode.pipelines.sources.stacks import Stack

# Voxels that differ by less are equally fine.
_FINER = 1.1
_PHASES = (Content.ARTERIAL, Content.VENOUS, Content.DELAYED)
_MOST_NAMED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series of the study by its headers, one an image. closed_off: why it may not be read, empty if it may."""

    series_instance_uid: str
    headers: tuple[Header, ...]
    closed_off: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was made of one stack for one input. against: why it is not the input; empty for the one that is."""

    series_instance_uid: str
    name: str
    stands_for: str
    against: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """One input: the stack it is, or None and the reason; and all that were judged, the chosen one first.

    optional: the pipeline runs without it, too.
    """

    name: str
    wanted: str
    stack: Stack | None
    reason: str
    judged: tuple[Judged, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    """A stack that may be the input. rank: smaller is better, element by element; spacing_mm: the last of them."""

    stack: Stack
    reasons: tuple[str, ...]
    rank: tuple[bool, bool, bool, bool]
    spacing_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contrast:
    """What the study says of contrast medium: whether the agent tells series apart, and when the first series with it
    was acquired, "" if that is not said."""

    agent_tells: bool
    given_at: str


_RANKS = ("it has the reference's frame of reference", "it says itself what it shows", "it is original, not derived",
          "it covers more")


def choose(series: Sequence[Series], inputs: Sequence[Input], *, registers: bool) -> tuple[Choice, ...]:
    """Choose a stack for every input. registers: whether another frame of reference is taken where none is shared."""
    candidates = [(each, wanted, _stacks(each, wanted)) for wanted in inputs for each in _in_order(series)]
    about = {modality: _contrast(modality, series, [stack for _, wanted, (stacks, _) in candidates
                                                    if wanted.modality == modality for stack in stacks])
             for modality in {each.modality for each in inputs}}
    found: list[Choice] = []
    for wanted in inputs:
        reference = found[0].stack if found else None
        judged, fits = [], []
        for each, of, (stacks, against) in candidates:
            if of is not wanted:
                continue
            if against:
                judged.append(_judged(each.series_instance_uid, each.headers, "", against))
            for stack in stacks:
                try:
                    fits.append(_fit(stack, wanted, reference, registers, about[wanted.modality]))
                except Unfit as unfit:
                    judged.append(_judged(stack.series_instance_uid, stack.headers, stack.stands_for, str(unfit)))
        found.append(replace(_best(wanted, fits, judged), optional=wanted.optional))
    return _in_time(_apart(found), inputs)


def refusal(choices: Sequence[Choice]) -> str:
    """Why these are not all the inputs that the pipeline needs, naming what was closest; empty if they are."""
    return ". ".join(_why_not(each) for each in choices if each.stack is None and not each.optional)


def lacking(choices: Sequence[Choice]) -> dict[str, str]:
    """Which of its optional inputs the study lacks: name -> why."""
    return {each.name: _why_not(each) for each in choices if each.stack is None and each.optional}


def as_json(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """For storing and showing: without the headers."""
    return [
        {"input": each.name, "wanted": each.wanted, "reason": each.reason,
         "series_instance_uid": each.stack.series_instance_uid if each.stack else "",
         "judged": [asdict(one) for one in each.judged]}
        for each in choices
    ]


def render(choices: Sequence[Mapping[str, Any]]) -> str:
    """Sentences for a person; takes what :func:`as_json` gives."""
    lines = []
    for choice in choices:
        lines.append(f"    input {choice['input']} ({choice['wanted']}): {choice['reason']}")
        for each in choice["judged"]:
            of = f" ({each['stands_for']})" if each["stands_for"] else ""
            said = f"not taken: {each['against']}" if each["against"] else f"taken: {'; '.join(each['reasons'])}"
            lines.append(f"      {each['name'] or 'series without a name'}{of} {each['series_instance_uid']}: {said}")
    return "\n".join(lines)


def _why_not(choice: Choice) -> str:
    near = "; ".join(f"{one.name or one.series_instance_uid}: {one.against}" for one in choice.judged[:5])
    return f"{choice.reason} ({near})" if near else choice.reason


def _in_order(series: Sequence[Series]) -> list[Series]:
    return sorted(series, key=lambda each: each.series_instance_uid)


def _stacks(series: Series, wanted: Input) -> tuple[list[Stack], str]:
    """The stacks of the images that are of this modality at all; or why there are none."""
    reasons = [reason_to_exclude(header, wanted.modality) for header in series.headers]  # type: ignore[arg-type]
    kept = [header for header, reason in zip(series.headers, reasons, strict=True) if reason is None]
    if series.closed_off and kept:
        return [], series.closed_off
    if not kept:
        return [], next((reason for reason in reasons if reason), "it has no image")
    return split(series.series_instance_uid, kept), ""


def _fit(stack: Stack, wanted: Input, reference: Stack | None, registers: bool, contrast: _Contrast) -> _Fit:
    """How well a stack fits. Raises Unfit."""
    found = [evidence(header, wanted.content, wanted.modality, agent_tells=contrast.agent_tells)
             for header in stack.headers]
    for header in stack.headers:
        for condition in wanted.where:
            _demand(condition, header)
    _refuse_shape(stack, wanted)
    if wanted.content in (Content.T1, Content.NATIVE) and contrast.given_at and (
        _acquired(stack) > contrast.given_at
    ):
        raise Unfit("it was acquired after the first series with contrast medium")
    same = reference is None or stack.text("FrameOfReferenceUID") == reference.text("FrameOfReferenceUID") != ""
    if not same and not registers:
        raise Unfit("its frame of reference is not that of the reference, and the pipeline permits no registration")
    reasons = found[0].reasons
    if reference is not None and same:
        reasons += _covering(stack, wanted, reference)
    spacing = 0.0
    if stack.outline is not None:
        spacing = max(stack.outline.spacing_mm)
        reasons += (f"{stack.outline.plane}, voxels up to {spacing:.2g} mm",)
    certain, derived = all(each.certain for each in found), any(is_derived(header) for header in stack.headers)
    return _Fit(stack=stack, reasons=reasons, rank=(not same, not certain, derived, False), spacing_mm=spacing)


def _covering(stack: Stack, wanted: Input, reference: Stack) -> tuple[str, ...]:
    if stack.outline is None or reference.outline is None:
        return ()
    covered = stack.outline.coverage_of(reference.outline)
    if covered < wanted.coverage:
        raise Unfit(f"it covers {covered:.0%} of the reference, {wanted.coverage:.0%} are wanted")
    return (f"it covers {covered:.0%} of the reference",)


def _demand(condition: Condition, header: Header) -> None:
    value = header.get(condition.keyword)
    several = hasattr(value, "__iter__") and not isinstance(value, str)
    text = "\\".join(str(each) for each in value) if several else "" if value is None else str(value)
    if not text:
        raise Unfit(f"it has no {condition.keyword}")
    if condition.matches and not re.search(condition.matches, text[:256], re.IGNORECASE):
        raise Unfit(f"its {condition.keyword} is {text[:_MOST_NAMED]}, wanted is {condition.matches}")
    if condition.at_least is None and condition.at_most is None:
        return
    number = numbers(value, 1)
    if number is None:
        raise Unfit(f"its {condition.keyword} is no number ({text[:_MOST_NAMED]})")
    too_low = condition.at_least is not None and number[0] < condition.at_least
    if too_low or (condition.at_most is not None and number[0] > condition.at_most):
        raise Unfit(f"its {condition.keyword} is {number[0]:g}")


def _refuse_shape(stack: Stack, wanted: Input) -> None:
    outline = stack.outline
    if outline is None:
        if all(numbers(each.get("NumberOfFrames"), 1) in (None, (1.0,)) for each in stack.headers):
            raise Unfit(f"{len(stack.headers)} images that form no stack")
        return
    if outline.shape[0] < wanted.min_slices:
        raise Unfit(f"it has {outline.shape[0]} slices, {wanted.min_slices} are wanted")
    if wanted.plane and outline.plane != wanted.plane:
        raise Unfit(f"it is {outline.plane}, not {wanted.plane}")
    if wanted.largest_spacing_mm is not None and max(outline.spacing_mm) > wanted.largest_spacing_mm:
        raise Unfit(f"its voxels are {max(outline.spacing_mm):.2g} mm long, up to {wanted.largest_spacing_mm:g} "
                    "are wanted")


def _best(wanted: Input, fits: Sequence[_Fit], judged: Sequence[Judged]) -> Choice:
    volumes = [fit.stack.outline.volume_mm3 for fit in fits if fit.stack.outline is not None]
    largest = max(volumes, default=0.0)
    ranked = sorted((_with_size(fit, largest) for fit in fits), key=lambda fit: (fit.rank, fit.spacing_mm))
    if not ranked:
        return Choice(name=wanted.name, wanted=wanted.wanted, stack=None, judged=tuple(judged),
                      reason=f"input {wanted.name} ({wanted.wanted}) is missing: no series of the study shows it")
    best, *rest = ranked
    equal = [fit for fit in rest if fit.rank == best.rank and fit.spacing_mm < best.spacing_mm * _FINER]
    if equal:
        names = " and ".join(_called(fit.stack) for fit in (best, *equal))
        against = "another series fits as well; send one of them, or tell them apart in the pipeline's inputs"
        return Choice(
            name=wanted.name, wanted=wanted.wanted, stack=None,
            reason=f"input {wanted.name} ({wanted.wanted}) is not clear: {names} fit equally well",
            judged=(*(_of_fit(fit, against if fit in (best, *equal) else _why_worse(fit, best)) for fit in ranked),
                    *judged),
        )
    return Choice(
        name=wanted.name, wanted=wanted.wanted, stack=best.stack, reason=_called(best.stack),
        judged=(_of_fit(best, ""), *(_of_fit(fit, _why_worse(fit, best)) for fit in rest), *judged),
    )


def _with_size(fit: _Fit, largest: float) -> _Fit:
    small = fit.stack.outline is not None and fit.stack.outline.volume_mm3 < largest / 2
    return replace(fit, rank=(*fit.rank[:3], small))


def _why_worse(fit: _Fit, best: _Fit) -> str:
    for worse, better, reason in zip(fit.rank, best.rank, _RANKS, strict=True):
        if worse != better:
            return f"{_called(best.stack)} is preferred: {reason}"
    return f"{_called(best.stack)} is preferred: its voxels are finer ({best.spacing_mm:.2g} against " \
           f"{fit.spacing_mm:.2g} mm)"


def _apart(choices: Sequence[Choice]) -> list[Choice]:
    """No stack is two inputs."""
    found: list[Choice] = []
    for each in choices:
        other = next((one for one in found if one.stack is not None and one.stack is not each.stack
                      and each.stack is not None and _same(one.stack, each.stack)), None)
        found.append(each if other is None else replace(each, stack=None, reason=(
            f"input {each.name} ({each.wanted}) is not clear: {other.reason} is the best for {other.name} too")))
    return found


def _in_time(choices: Sequence[Choice], inputs: Sequence[Input]) -> tuple[Choice, ...]:
    """Phases come one after the other; where their times say otherwise one of the names is wrong."""
    found = list(choices)
    phases = sorted(
        (_PHASES.index(wanted.content), place) for place, wanted in enumerate(inputs) if wanted.content in _PHASES
    )
    for (_, earlier), (_, later) in pairwise(phases):
        one, other = found[earlier].stack, found[later].stack
        if one is not None and other is not None and "" not in (_acquired(one), _acquired(other)) and (
            _acquired(one) >= _acquired(other)
        ):
            found[later] = replace(found[later], stack=None, reason=(
                f"input {inputs[later].name} is not clear: {_called(other)} was not acquired after {_called(one)}, "
                f"which is taken for {inputs[earlier].name}"))
    return tuple(found)


def _same(one: Stack, other: Stack) -> bool:
    return (one.series_instance_uid, one.stands_for) == (other.series_instance_uid, other.stands_for) and (
        one.headers[0].get("SOPInstanceUID") == other.headers[0].get("SOPInstanceUID"))


def _contrast(modality: str, series: Sequence[Series], stacks: Sequence[Stack]) -> _Contrast:
    first = [each.headers[0] for each in series if each.headers and each.headers[0].get("Modality") == modality]
    tells = len(first) < 2 or not all(each.get("ContrastBolusAgent") for each in first)
    times = [_acquired(stack) for stack in stacks if contrast_said(stack.headers[0], agent_tells=tells)[0]]
    return _Contrast(agent_tells=tells, given_at=min((time for time in times if time), default=""))


def _acquired(stack: Stack) -> str:
    """The earliest acquisition in the stack, as YYYYMMDDHHMMSS.F; "" if it is not said."""
    found = []
    for header in stack.headers:
        at = str(header.get("AcquisitionDateTime") or "") or (
            f"{header.get('AcquisitionDate') or ''}{header.get('AcquisitionTime') or ''}")
        if re.match(r"\d{14}", at):
            found.append(at)
    return min(found, default="")


def _called(stack: Stack) -> str:
    name = name_of(stack.headers[0])[:_MOST_NAMED]
    return f"{name} ({stack.called})" if name else stack.called


def _judged(series_instance_uid: str, headers: Sequence[Header], stands_for: str, against: str) -> Judged:
    name = str(headers[0].get("SeriesDescription") or "")[:_MOST_NAMED] if headers else ""
    return Judged(series_instance_uid=series_instance_uid, name=name, stands_for=stands_for, against=against)


def _of_fit(fit: _Fit, against: str) -> Judged:
    name = str(fit.stack.headers[0].get("SeriesDescription") or "")[:_MOST_NAMED]
    return Judged(series_instance_uid=fit.stack.series_instance_uid, name=name, stands_for=fit.stack.stands_for,
                  against=against, reasons=fit.reasons)
