"""What the gate demands of an Encapsulated PDF: read again with another library, it says what the findings say.

Each number stands in the text with its finding, side, image, name and unit, and what is left out is counted. The
picture is compared with the image it is of, its outlines with the findings, its letters with the patient's sides.
"""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import EncapsulatedPDFStorage
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from radnode.pipelines.findings import STUDY, Composite, Detection, InPatient, Rendering, Segment
from radnode.pipelines.geometry import to_index
from radnode.pipelines.results import gate_pdf_picture
from radnode.pipelines.results.pdf_texts import TEXTS, date_text, name_texts, unit_text
from radnode.pipelines.results.report_document import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.findings import Classification
    from radnode.pipelines.results.pdf_texts import Texts
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

_NUMBER = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
# Four digits are printed.
_ROUNDED = 5.1e-4
# A document that does more than show: scripts, actions, forms, attachments.
_ACTIVE = ("/AA", "/Names", "/AcroForm")


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    if len(results) != 1:
        yield "missing", f"{len(results)} documents, expected 1"
        return
    (result,) = results
    texts = TEXTS[writing.provenance.order.language]
    yield from _markings(result, writing, texts)
    content, length = bytes(result.EncapsulatedDocument), int(result.EncapsulatedDocumentLength)
    if length + length % 2 != len(content) or content[length:].strip(b"\0") or not content.startswith(b"%PDF-"):
        yield "encoding", "the document is no PDF, or not as long as it says"
        return
    try:
        reader = PdfReader(io.BytesIO(content[:length]), strict=True)
        root = reader.root_object
        # A destination to open at is an array, an action a dictionary (ISO 32000-1, 7.7.2).
        if any(key in root for key in _ACTIVE) or not isinstance(root.get("/OpenAction", []), list):
            yield "encoding", "the document holds actions or attachments"
        said = _squeezed("".join(page.extract_text() for page in reader.pages))
        yield from _words(said, writing, texts)
        yield from _table(said, writing, texts)
        yield from gate_pdf_picture.faults(reader.pages[0], writing.findings)
    except (PyPdfError, ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        yield "encoding", f"the document cannot be read back ({type(error).__name__})"


def _markings(result: Dataset, writing: Writing, texts: Texts) -> Iterator[Fault]:
    if result.SOPClassUID != EncapsulatedPDFStorage or result.MIMETypeOfEncapsulatedDocument != "application/pdf":
        yield "encoding", "not an Encapsulated PDF"
    if result.get("BurnedInAnnotation") != "YES" or result.get("VerificationFlag") != "UNVERIFIED":
        yield "markings", "it does not say that it names the patient and that nobody has verified it"
    if result.DocumentTitle != texts.title.format(title=writing.provenance.manifest.title):
        yield "markings", "the title is not that of the pipeline"
    named = {str(each.ReferencedSOPInstanceUID) for each in result.SourceInstanceSequence}
    if named != {str(each.SOPInstanceUID) for each in writing.source.slices}:
        yield "reference", "the document does not name the images that were read"


def _squeezed(text: str) -> str:
    """Without blanks and line ends: a text is the same text however it wraps."""
    return re.sub(r"\s+", "", text)


def _pattern(text: str) -> str:
    """A text as the page may spell it: characters that its fonts lack stand there as code points."""
    return "".join(f"(?:{re.escape(each)}|\\[U\\+{ord(each):04X}\\])" for each in _squeezed(text))


def _words(said: str, writing: Writing, texts: Texts) -> Iterator[Fault]:
    """The identity of the images, and everything that must be read with the numbers."""
    common, findings = writing.source.common, writing.findings
    for what, value in (
        (texts.patient_id, str(common.PatientID or "")), (texts.accession_number, str(common.AccessionNumber or "")),
        (texts.birth_date, date_text(str(common.PatientBirthDate or ""))),
        (texts.study_date, date_text(str(common.StudyDate or ""))),
    ):
        if not re.search(_pattern(what + (value or texts.not_stated)), said):
            yield "patient", f"the page does not say the {what} of the images"
    spellings = name_texts(common.PatientName) if common.PatientName else ()
    if not all(re.search(_pattern(_letters(each)), _letters(said)) for each in spellings):
        yield "patient", "the page does not spell the patient's name as the images do"
    manifest, order = writing.provenance.manifest, writing.provenance.order
    if order.content_qualification != "PRODUCT" and order.content_qualification not in said:
        yield "qualification", "the page does not say what it is good for"
    demanded = (
        texts.unverified, texts.outcomes[summary_of(findings).value], *findings.remarks,
        *(texts.term(each.what) + "#" + each.reason for each in findings.failures),
        f"{manifest.name} {manifest.version}", order.node_version, order.input_digest, manifest.model_digest,
    )
    # Between what failed and why stands a mark of the language.
    if missing := [each for each in demanded if not re.search(_pattern(each).replace(_pattern("#"), ".?"), said)]:
        yield "remarks", f"{len(missing)} sentences that a reader must see are not on the page"


def _letters(text: str) -> str:
    """Without marks on letters, which come back in another order from some scripts."""
    return "".join(each for each in text if unicodedata.category(each)[0] in "LN" or each in "[]+")


@dataclass(frozen=True, slots=True)
class _Cell:
    """One number, or one word, that the table must hold. before, after: patterns of what stands around a number."""

    before: str
    value: float | None = None
    after: str = ""

    def stands_in(self, said: str) -> bool:
        """A number stands there if it rounds to the measured one."""
        if self.value is None:
            return re.search(self.before, said) is not None
        return any(self.is_meant(number) for number in self.numbers(said))

    def numbers(self, said: str) -> list[float]:
        """All that stand at such a place."""
        return [float(number) for number in re.findall(self.before + _NUMBER + self.after, said)]

    def is_meant(self, number: float) -> bool:
        """True for the measured number, rounded."""
        return self.value is not None and abs(number - self.value) <= _ROUNDED * abs(self.value)


def _table(said: str, writing: Writing, texts: Texts) -> Iterator[Fault]:
    """Every finding is in the table whole, or counted among those that are left out; nothing else is in it."""
    findings = writing.findings
    placed: tuple[Detection | Composite, ...] = (*findings.composites, *findings.detections)
    hidden = [tuple(_about(each, writing, texts)) for each in placed if each.rendering is Rendering.NOT_SHOWN]
    rows = [tuple(cells) for cells in _expected(writing, texts)]
    present = sum(all(cell.stands_in(said) for cell in cells) for cells in rows)
    more = re.search(_pattern(texts.more.format(count="#")).replace(_pattern("#"), r"(\d+)"), said)
    shown = len(rows) + len(hidden) - (int(more.group(1)) if more else 0)
    # Findings that look the same in words are found wherever one of them is.
    alike = len({*rows, *hidden}) < len(rows) + len(hidden)
    if present < shown or (present > shown and not alike) or (rows and shown < 1):
        yield "measurements", f"{present} of {len(rows)} findings are in the table, {shown} should be"
    if not alike and any(all(cell.stands_in(said) for cell in cells) for cells in hidden):
        yield "measurements", "the table has a finding that is not for display"
    meant: dict[tuple[str, str], list[_Cell]] = {}
    for cell in (cell for cells in rows for cell in cells if cell.value is not None):
        meant.setdefault((cell.before, cell.after), []).append(cell)
    for cells_there in meant.values():
        if any(not any(cell.is_meant(number) for cell in cells_there) for number in cells_there[0].numbers(said)):
            yield "measurements", "a number of the table is not one of the findings"
            return


def _expected(writing: Writing, texts: Texts) -> Iterator[list[_Cell]]:
    """For each finding that may be shown, what stands in the table about it."""
    findings = writing.findings
    every: tuple[Segment | Detection | Composite, ...] = (
        *findings.composites, *findings.detections, *findings.segments
    )
    for each in every:
        if isinstance(each, Segment) or each.rendering is not Rendering.NOT_SHOWN:
            yield _about(each, writing, texts)
    keys = {each.key for each in every}
    for answer in findings.classifications:
        if answer.of not in keys:
            label = texts.whole_study if answer.of == STUDY else ""
            side = texts.term(answer.laterality) if answer.laterality else ""
            yield [_answer(_pattern(label + side) + ".{0,40}?", answer, texts)]


def _about(each: Segment | Detection | Composite, writing: Writing, texts: Texts) -> list[_Cell]:
    findings = writing.findings
    row = _pattern(each.label + _place(each, writing, texts))
    cells = []
    if each.certainty is not None:
        cells.append(_Cell(row + _pattern(texts.certainty), 100 * each.certainty, "%"))
    for measured in findings.measurements:
        if measured.of == each.key:
            method = f"({texts.term(measured.method)})" if measured.method else ""
            cells.append(_Cell(row + _pattern(texts.term(measured.name) + method), measured.value,
                               _pattern(unit_text(measured.unit))))
    if isinstance(each, Detection):
        cells += [_Cell(row + _pattern(texts.term(name) + texts.term(value))) for name, value in each.descriptors]
    cells += [_answer(row, answer, texts) for answer in findings.classifications if answer.of == each.key]
    return cells or [_Cell(row + _pattern(texts.term(each.type) + texts.found))]


def _answer(before: str, answer: Classification, texts: Texts) -> _Cell:
    said = before + _pattern(texts.term(answer.name) + texts.term(answer.value))
    if answer.certainty is None:
        return _Cell(said)
    return _Cell(said + _pattern(f"({texts.certainty}"), 100 * answer.certainty, _pattern("%)"))


def _place(each: Segment | Detection | Composite, writing: Writing, texts: Texts) -> str:
    """Side and image, from the findings and the headers alone."""
    findings = writing.findings
    if isinstance(each, Composite):
        return ""
    words = [texts.term(each.laterality)] if each.laterality else []
    frame: int | None = None
    uid: str | None = None
    if isinstance(each, Segment) and each.on is not None:
        largest, _ = max(findings.planes_of(each), key=lambda plane: np.count_nonzero(plane[1]))
        uid, frame = largest.sop_instance_uid, largest.frame_number
    if isinstance(each, Detection):
        if isinstance(each.at, InPatient):
            nearest = to_index(findings.grid.affine, np.array([each.at.center_lps]))[0, 0]
            source = findings.grid.frames[int(np.clip(np.rint(nearest), 0, len(findings.grid.frames) - 1))]
            uid, frame = source.sop_instance_uid, source.frame_number
        else:
            uid, frame = each.at.sop_instance_uid, each.at.frame_number
    if uid is None:
        return texts.separator.join(words)
    header = writing.source.header(uid)
    if findings.projections:
        image = findings.projection(uid, frame)
        words.append(" ".join(word for word in (image.laterality, image.view) if word))
    if frame is not None:
        words.append(texts.frame.format(number=frame))
    elif header.get("InstanceNumber") is not None:
        words.append(texts.image.format(number=header.InstanceNumber))
    return texts.separator.join(word for word in words if word)
