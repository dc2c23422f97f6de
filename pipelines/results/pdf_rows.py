"""What was found as rows of a table: each row says by itself what its number is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.pipelines.findings import STUDY, Composite, Detection, Rendering, Segment
from radnode.pipelines.results import placing
from radnode.pipelines.results.pdf_picture import shown_detections
from radnode.pipelines.results.pdf_texts import number_text, unit_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.pipelines.findings import Classification, Findings
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.normalise import SourceHeader
    from radnode.pipelines.results.pdf_texts import Texts

Row = tuple[str, str, str, str, str]
Found = Segment | Detection | Composite


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """groups: the rows of each finding, the most urgent first. not_for_display: how many findings are left out because
    the pipeline says that a workstation should not show them.
    """

    groups: tuple[tuple[Row, ...], ...]
    not_for_display: int


def rows_of(findings: Findings, source: SourceHeader, texts: Texts) -> Rows:
    """Answers about the study, then composites, detections, segments, and answers about an image or a series."""
    composites = [each for each in findings.composites if each.rendering is not Rendering.NOT_SHOWN]
    detections = shown_detections(findings)
    every: tuple[Found, ...] = (*findings.composites, *findings.detections, *findings.segments)
    keys = {each.key for each in every}
    placed: tuple[Found, ...] = (*composites, *detections, *findings.segments)
    whole = [each for each in findings.classifications if each.of == STUDY]
    other = [each for each in findings.classifications if each.of != STUDY and each.of not in keys]
    groups: list[tuple[Row, ...]] = [(_answer(each, texts.whole_study, findings, source, texts),) for each in whole]
    groups += [tuple(_rows(each, findings, source, texts)) for each in placed]
    groups += [(_answer(each, "", findings, source, texts),) for each in other]
    hidden = len(findings.composites) + len(findings.detections) - len(composites) - len(detections)
    return Rows(groups=tuple(groups), not_for_display=hidden)


def _rows(found: Found, findings: Findings, source: SourceHeader, texts: Texts) -> Iterator[Row]:
    where = _where(found, findings, source, texts)
    empty = True
    for what, value, unit in _statements(found, findings, texts):
        empty = False
        yield found.label, where, what, value, unit
    if empty:
        yield found.label, where, texts.term(found.type), texts.found, ""


def _statements(found: Found, findings: Findings, texts: Texts) -> Iterator[tuple[str, str, str]]:
    if found.certainty is not None:
        yield texts.certainty, number_text(100 * found.certainty), "%"
    for each in findings.measurements:
        if each.of == found.key:
            method = f" ({texts.term(each.method)})" if each.method else ""
            yield texts.term(each.name) + method, number_text(each.value), unit_text(each.unit)
    if isinstance(found, Detection):
        for name, value in found.descriptors:
            yield texts.term(name), texts.term(value), ""
    for answer in findings.classifications:
        if answer.of == found.key:
            yield texts.term(answer.name), _answer_text(answer, texts), ""


def _where(found: Found, findings: Findings, source: SourceHeader, texts: Texts) -> str:
    if isinstance(found, Composite):
        return ""
    words = [texts.term(found.laterality)] if found.laterality else []
    if isinstance(found, Detection):
        words.append(place_text(placing.place(found, findings).image, findings, source, texts))
    elif found.on is not None:
        largest, _ = max(findings.planes_of(found), key=lambda each: each[1].sum())
        words.append(place_text(largest, findings, source, texts))
    return texts.separator.join(filter(None, words))


def place_text(image: SourceFrame, findings: Findings, source: SourceHeader, texts: Texts) -> str:
    """An image as a reader finds it: by side and view, and by its frame or its Instance Number."""
    words = [" ".join(filter(None, (each.laterality, each.view))) for each in findings.projections
             if each.source == image]
    number = source.header(image.sop_instance_uid).get("InstanceNumber")
    if image.frame_number is not None:
        words.append(texts.frame.format(number=image.frame_number))
    elif number is not None:
        words.append(texts.image.format(number=number))
    return texts.separator.join(filter(None, words))


def _answer(each: Classification, label: str, findings: Findings, source: SourceHeader, texts: Texts) -> Row:
    where = [texts.term(each.laterality)] if each.laterality else []
    where += [place_text(projection.source, findings, source, texts) for projection in findings.projections
              if (projection.source.sop_instance_uid, projection.source.frame_number) == (each.of, each.frame_number)]
    return label, texts.separator.join(where), texts.term(each.name), _answer_text(each, texts), ""


def _answer_text(each: Classification, texts: Texts) -> str:
    certainty = "" if each.certainty is None else f" ({texts.certainty} {number_text(100 * each.certainty)} %)"
    return texts.term(each.value) + certainty
