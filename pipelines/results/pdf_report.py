"""One page in words, numbers and a picture for whoever opens documents but no reports: Encapsulated PDF (PS3.3 A.45.1).

It holds as many findings as fit, all remarks and every failure. Where remarks are so long that no page holds them with
a finding, there is a second page: what must be read with the numbers is never shortened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import EncapsulatedPDFStorage

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Code
from radnode.pipelines.languages import cannot_write
from radnode.pipelines.results.identity import local_time
from radnode.pipelines.results.marking import concept
from radnode.pipelines.results.pdf_page import BOTTOM, INNER, MARGIN, sheet
from radnode.pipelines.results.pdf_picture import key_image, picture
from radnode.pipelines.results.pdf_rows import place_text, rows_of
from radnode.pipelines.results.pdf_texts import TEXTS, date_text, name_texts
from radnode.pipelines.results.plain import base, reference
from radnode.pipelines.results.report_document import summary_of
from radnode.pipelines.results.secondary_capture import opposite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

    from radnode.pipelines.results.pdf_page import Sheet
    from radnode.pipelines.results.pdf_rows import Row
    from radnode.pipelines.results.pdf_texts import Texts
    from radnode.pipelines.results.writing import Writing

MIME_TYPE = "application/pdf"
_REPORT = Code("18748-4", "LN", "Diagnostic Imaging Report")
_COLUMNS = (46.0, 34.0, 54.0, 30.0, INNER - 164.0)
_TEXT_WIDTH, _PICTURE_SIDE = 110.0, 52.0


def write(writing: Writing) -> tuple[Dataset, ...]:
    """The report in the language of the order. Raises RunFailed where the machine has no font for it."""
    language = writing.provenance.order.language
    if why_not := cannot_write(language):
        raise RunFailed(why_not)
    texts = TEXTS[language]
    result = base(writing, EncapsulatedPDFStorage, "DOC")
    result.ConversionType = "SYN"
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.AcquisitionDateTime = None
    result.BurnedInAnnotation = "YES"
    result.VerificationFlag = "UNVERIFIED"
    result.DocumentTitle = title_of(writing, texts)
    result.ConceptNameCodeSequence = [concept(_REPORT)]
    result.SourceInstanceSequence = [reference(each.SOPClassUID, each.SOPInstanceUID) for each in writing.source.slices]
    content = _document(writing, texts)
    result.MIMETypeOfEncapsulatedDocument = MIME_TYPE
    result.EncapsulatedDocumentLength = len(content)
    result.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return (result,)


def title_of(writing: Writing, texts: Texts) -> str:
    """The headline; says what it is of."""
    return texts.title.format(title=writing.provenance.manifest.title)


def warnings_of(writing: Writing, texts: Texts) -> tuple[str, ...]:
    """What stands in the red box."""
    qualification = writing.provenance.order.content_qualification
    if qualification == "PRODUCT":
        return (texts.unverified,)
    return texts.notice.format(qualification=texts.qualifications[qualification]), texts.unverified


def identity_of(writing: Writing, texts: Texts) -> tuple[tuple[str, str], ...]:
    """(what, value) of the patient and the study, as the images say."""
    common = writing.source.common
    patient_id = str(common.PatientID or "")
    if issuer := str(common.get("IssuerOfPatientID") or ""):
        patient_id = f"{patient_id} ({issuer})"
    pairs = (
        (texts.patient_name, " / ".join(name_texts(common.PatientName)) if common.PatientName else ""),
        (texts.patient_id, patient_id),
        (texts.birth_date, date_text(str(common.PatientBirthDate or ""))),
        (texts.sex, texts.sexes.get(str(common.PatientSex or ""), "")),
        (texts.study_date, date_text(str(common.StudyDate or ""))),
        (texts.accession_number, str(common.AccessionNumber or "")),
        (texts.study, str(common.get("StudyDescription") or "")),
    )
    return tuple((what, value or texts.not_stated) for what, value in pairs)


def conclusions_of(writing: Writing, texts: Texts) -> tuple[str, ...]:
    """How the run ended, what it looked for, and what it could not analyse."""
    findings = writing.findings
    said = [texts.outcomes[summary_of(findings).value]]
    if findings.looked_for:
        said.append(texts.looked_for.format(what=texts.separator.join(map(texts.term, findings.looked_for))))
    said += [texts.not_analysed.format(what=texts.term(each.what), reason=each.reason) for each in findings.failures]
    return tuple(said)


def remarks_of(writing: Writing, texts: Texts) -> tuple[str, ...]:
    """The remarks, in the words of the pipeline, and what composites have in common."""
    findings = writing.findings
    labels = {each.key: each.label for each in findings.detections}
    return (*findings.remarks, *(
        texts.relations[each.relation].format(
            label=each.label, members=texts.separator.join(labels[member] for member in each.members))
        for each in findings.composites
    ))


def provenance_of(writing: Writing, texts: Texts) -> tuple[str, ...]:
    """What made it, of what."""
    provenance = writing.provenance
    manifest, order = provenance.manifest, provenance.order
    return (
        texts.made_by.format(title=manifest.title, name=manifest.name, version=manifest.version,
                             node=order.node_version,
                             date=local_time(provenance, writing.source.common).strftime("%Y-%m-%d %H:%M:%S")),
        texts.intended_use.format(use=manifest.intended_use.strip()),
        texts.input.format(received=len(order.instances), read=writing.findings.images_read,
                           digest=order.input_digest, revision=order.revision),
        texts.model.format(model=manifest.model_digest, configuration=order.configuration_digest),
    )


def _document(writing: Writing, texts: Texts) -> bytes:
    content, pages = _pages(writing, texts, 1)
    # How many there are stands on the first, so that none can be missing unseen.
    return content if pages == 1 else _pages(writing, texts, pages)[0]


def _pages(writing: Writing, texts: Texts, count: int) -> tuple[bytes, int]:
    """The document and how many pages it has. count: how many it says that it has."""
    title, warnings = title_of(writing, texts), warnings_of(writing, texts)
    identity = identity_of(writing, texts)
    foot = " | ".join((title, *warnings, f"{texts.patient_id} {identity[1][1]}"))
    with sheet(texts, local_time(writing.provenance, writing.source.common), foot, count) as page:
        page.set_title(title)
        page.ink(16, bold=True)
        page.write_in(MARGIN, INNER, title)
        page.set_y(page.get_y() + 2)
        page.warn(warnings)
        _identity(page, identity)
        _conclusions(page, writing, texts)
        _table(page, writing, texts)
        _provenance(page, provenance_of(writing, texts))
        return bytes(page.output()), page.page_no()


def _identity(page: Sheet, identity: Sequence[tuple[str, str]]) -> None:
    for what, value in identity:
        top = page.get_y()
        page.ink(9)
        page.write_in(MARGIN, 42, what)
        below = page.get_y()
        page.set_y(top)
        page.ink(9, bold=True)
        page.write_in(MARGIN + 42, INNER - 42, value)
        page.set_y(max(below, page.get_y()))
    page.set_y(page.get_y() + 3)


def _conclusions(page: Sheet, writing: Writing, texts: Texts) -> None:
    """Words on the left, the picture on the right."""
    first, top = page.page_no(), page.get_y()
    below = _picture(page, writing, texts, top)
    width = _TEXT_WIDTH if below > top else INNER
    page.set_y(top)
    page.ink(12, bold=True)
    outcome, *others = conclusions_of(writing, texts)
    page.write_in(MARGIN, width, outcome)
    page.ink(9)
    for each in others:
        page.set_y(page.get_y() + 1)
        page.write_in(MARGIN, width, each)
    if remarks := remarks_of(writing, texts):
        page.set_y(page.get_y() + 3)
        page.ink(10, bold=True)
        page.write_in(MARGIN, width, texts.remarks)
        page.ink(9)
        for each in remarks:
            beside = page.page_no() == first and page.get_y() < below
            page.write_in(MARGIN, width if beside else INNER, f"•\N{NO-BREAK SPACE}{each}")
    same_page = page.page_no() == first
    page.set_y(max(page.get_y(), below if same_page else 0) + 4)


def _picture(page: Sheet, writing: Writing, texts: Texts, top: float) -> float:
    """Where it ends, or `top` if there is nothing to show."""
    findings = writing.findings
    key = key_image(findings)
    if key is None:
        return top
    height, width = (count * spacing for count, spacing in zip(key.pixels.shape[:2], key.spacing, strict=True))
    size = width * _PICTURE_SIDE / max(width, height), height * _PICTURE_SIDE / max(width, height)
    right, bottom = key.towards
    left = MARGIN + INNER - 7 - size[0]
    page.picture(picture(key, findings), left, top + 4, size, (opposite(right), right, opposite(bottom), bottom))
    page.ink(7)
    page.set_y(top + 4 + size[1] + 5)
    caption = texts.picture.format(place=place_text(key.image, findings, writing.source, texts))
    page.write_in(MARGIN + _TEXT_WIDTH + 4, INNER - _TEXT_WIDTH - 4, caption, align="R")
    return page.get_y()


def _table(page: Sheet, writing: Writing, texts: Texts) -> None:
    rows = rows_of(writing.findings, writing.source, texts)
    if not rows.groups and not rows.not_for_display:
        return
    page.ink(8)
    foot = sum(page.height_in(INNER, each) for each in provenance_of(writing, texts)) + 14
    shown = _fitting(page, rows.groups, BOTTOM - page.get_y() - foot)
    if not shown and rows.groups:
        page.add_page()
        shown = max(1, _fitting(page, rows.groups, BOTTOM - page.get_y() - foot))
    page.ink(8, bold=True)
    page.row(_COLUMNS, texts.table)
    page.ink(8)
    for group in rows.groups[:shown]:
        for row in group:
            page.row(_COLUMNS, row)
    if left_out := len(rows.groups) - shown + rows.not_for_display:
        page.ink(9, bold=True)
        page.set_y(page.get_y() + 1)
        page.write_in(MARGIN, INNER, texts.more.format(count=left_out))


def _fitting(page: Sheet, groups: Sequence[Sequence[Row]], room: float) -> int:
    """How many of the findings, from the first on, stand in so many millimetres."""
    for count, group in enumerate(groups):
        room -= sum(page.row_height(_COLUMNS, row) for row in group)
        if room < 0:
            return count
    return len(groups)


def _provenance(page: Sheet, statements: Sequence[str]) -> None:
    page.ink(7)
    height = sum(page.height_in(INNER, each) for each in statements)
    if page.get_y() + 2 + height > BOTTOM:
        page.add_page()
    page.ink(7)
    page.set_y(BOTTOM - height)
    for each in statements:
        page.write_in(MARGIN, INNER, each)
