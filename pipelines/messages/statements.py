"""What findings say, for systems that show words: groups of coded statements, and sentences that go with them.

The same groups as in a TID 1500 report (:mod:`radnode.pipelines.results.report_groups`), without places in images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.findings import STUDY, Code, Detection, Rendering, Segment
from radnode.pipelines.results import not_processed
from radnode.pipelines.results.report_document import summary_of
from radnode.pipelines.results.report_groups import CERTAINTY, PERCENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from radnode.pipelines.findings import Classification, Composite, Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.writing import Making

SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
_NOT_SHOWN = "{count} findings that the pipeline marks as not to be shown are left out."


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One number with its unit (UCUM), or one coded answer. method: how it was derived."""

    name: Code
    value: float | Code
    unit: Code | None = None
    method: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is said about one finding, or about a whole.

    key: of the finding. tracking_uid: the one under which DICOM objects name it. type: None for an answer about the
    study or an image, which are said in `label`.
    """

    key: str
    label: str
    tracking_uid: str
    type: Code | None = None
    site: Code | None = None
    laterality: Code | None = None
    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a message says. outcome: how the run ended (PS3.16 CID 6047), or that it did not, with `failed`.

    sentences: what must be read with the numbers, and what made them.
    """

    outcome: Code
    processed: bool
    groups: tuple[Group, ...] = ()
    sentences: tuple[str, ...] = ()
    failed: bool = False


def report_of(findings: Findings, provenance: Provenance) -> Report:
    """What was found."""
    groups = tuple(_groups(findings, provenance))
    places: tuple[Detection | Composite, ...] = (*findings.detections, *findings.composites)
    hidden = sum(each.rendering is Rendering.NOT_SHOWN for each in places)
    said = [f"Looked for: {', '.join(each.meaning for each in findings.looked_for)}."] if findings.looked_for else []
    said += [f"Not analysed: {each.what.meaning}: {each.reason}" for each in findings.failures]
    said += findings.remarks
    said += [_NOT_SHOWN.format(count=hidden)] if hidden else []
    said += provenance.statements(findings.images_read)
    return Report(outcome=summary_of(findings), processed=True, groups=groups, sentences=_plain(said))


def refusal_of(making: Making, reason: str, *, failed: bool) -> Report:
    """That a study was not processed, and why; the same words as in the DICOM report of that."""
    return Report(outcome=not_processed.NONE_SUCCEEDED, processed=False, failed=failed,
                  sentences=_plain(not_processed.sentences(making, reason, failed=failed)))


def _plain(sentences: Iterable[str]) -> tuple[str, ...]:
    """Each on one line, without what no system shows."""
    return tuple(re.sub(r"[\x00-\x1f\x7f]+", " ", each).strip() for each in sentences)


def _groups(findings: Findings, provenance: Provenance) -> Iterator[Group]:
    every: tuple[Segment | Detection | Composite, ...]
    every = (*findings.composites, *findings.detections, *findings.segments)
    keys = {each.key for each in every}
    for answer in findings.classifications:
        if answer.of not in keys:
            yield _whole(answer, provenance)
    for found in every:
        if isinstance(found, Segment) or found.rendering is not Rendering.NOT_SHOWN:
            yield _found(found, findings, provenance)


def _found(found: Segment | Detection | Composite, findings: Findings, provenance: Provenance) -> Group:
    said = [] if found.certainty is None else [_certainty(found.certainty)]
    said += [Statement(name=each.name, value=each.value, unit=each.unit, method=each.method)
             for each in findings.measurements if each.of == found.key]
    if isinstance(found, Detection):
        said += [Statement(name=name, value=value) for name, value in found.descriptors]
    for answer in findings.classifications:
        if answer.of == found.key:
            said += _answered(answer)
    placed = found if isinstance(found, Segment | Detection) else None
    return Group(
        key=found.key, label=found.label, tracking_uid=provenance.tracking_uid(found.key), type=found.type,
        site=placed.site if placed else None, laterality=placed.laterality if placed else None, statements=tuple(said),
    )


def _whole(answer: Classification, provenance: Provenance) -> Group:
    return Group(
        key=answer.key, label="the study" if answer.of == STUDY else f"series or image {answer.of}",
        tracking_uid=provenance.tracking_uid(answer.key), laterality=answer.laterality,
        statements=tuple(_answered(answer)),
    )


def _answered(answer: Classification) -> list[Statement]:
    said = [Statement(name=answer.name, value=answer.value)]
    return said if answer.certainty is None else [*said, _certainty(answer.certainty)]


def _certainty(share: float) -> Statement:
    return Statement(name=CERTAINTY, value=100 * share, unit=PERCENT)
