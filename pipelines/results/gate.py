"""The gate: nothing is sent that was not read again from its file and found to say what the findings say.

It reads with its own decoder, and it compares with the findings and with the headers as they were received.
Validators check that an object is legal DICOM; none notices a flipped mask, a neighbour's patient or a wrong
study.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pydicom

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.forms import Wanted
from radnode.pipelines.results import (
    columns,
    gate_cad,
    gate_derived_images,
    gate_findings,
    gate_key_objects,
    gate_not_processed,
    gate_ohif,
    gate_parametric_map,
    gate_presentation_state,
    gate_report,
    gate_rtstruct,
    gate_secondary_capture,
    gate_segmentation,
)
from radnode.pipelines.results.normalise import IDENTITY
from radnode.pipelines.results.writing import Making, Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.identity import Provenance
    from radnode.pipelines.results.normalise import SourceHeader

Fault = tuple[str, str]


def _pdf_faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    from radnode.pipelines.results import gate_pdf

    return gate_pdf.faults(results, writing)


# Result form -> what is demanded of its objects besides what is demanded of all.
CHECKS: dict[str, Callable[[Sequence[Dataset], Writing], Iterator[Fault]]] = {
    "LABELMAP": gate_segmentation.faults,
    "SEG": gate_segmentation.faults,
    "FRACTIONAL": gate_segmentation.faults,
    "PM": gate_parametric_map.faults,
    "RTSTRUCT": gate_rtstruct.faults,
    "SC": gate_secondary_capture.faults,
    "GSPS": gate_presentation_state.faults,
    "TID1500": gate_report.faults,
    "COMPREHENSIVE": gate_report.faults,
    "KEY-OBJECTS": gate_key_objects.faults,
    "PDF": _pdf_faults,
    "IMAGES": gate_derived_images.faults,
    "NOT-PROCESSED": gate_not_processed.faults,
    "MAMMOGRAPHY-CAD": gate_cad.mammography,
    "CHEST-CAD": gate_cad.chest,
    "OHIF": gate_ohif.faults,
}
_PREDECESSORS = 0x0040A360
_SHOW_SEGMENTS = ("SEG", "LABELMAP")


class GateRefused(RunFailed):
    """A result does not say what the findings say; it is not sent. `check` names the check that refused
    it.
    """

    def __init__(self, form: str, check: str, detail: str) -> None:
        super().__init__(f"the gate refused the {form}: {check}: {detail}")
        self.check = check


def check(
    objects: Mapping[str, Sequence[Path]], findings: Findings, source: SourceHeader, provenance: Provenance
) -> None:
    """Read every result again and refuse the whole job at the first fault.

    objects: name of the object (:mod:`radnode.pipelines.forms`) -> the files of its instances. Raises GateRefused.
    """
    for check_name, detail in gate_findings.faults(findings):
        raise GateRefused("findings", check_name, detail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = {name: tuple(_read(name, path) for path in paths) for name, paths in objects.items()}
        for name, datasets in results.items():
            wanted = Wanted.parse(name)
            writing = Writing(
                findings=findings, source=source, provenance=provenance, wanted=wanted,
                beside=results.get(wanted.beside or "", ()),
            )
            for check_name, detail in _faults(datasets, writing):
                raise GateRefused(name, check_name, detail)
    for name in provenance.order.forms:
        if name in _SHOW_SEGMENTS and findings.segments and not results.get(name):
            raise GateRefused(name, "missing", "segments were found and nothing shows them")


def check_refusal(path: Path, making: Making, reason: str, *, failed: bool) -> None:
    """As :func:`check`, for the report that a study was not processed. Raises GateRefused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = making.wanted.name
        result = _read(name, path)
        common = _common_faults(result, making, 1, (result,))
        for check_name, detail in (
            *common, *gate_not_processed.faults_of_refusal(result, making, reason, failed=failed)
        ):
            raise GateRefused(name, check_name, detail)


def _read(form: str, path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except (OSError, pydicom.errors.InvalidDicomError, ValueError, KeyError) as error:
        raise GateRefused(form, "file", f"cannot be read back ({type(error).__name__})") from error


def _faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    for number, result in enumerate(results, 1):
        yield from _common_faults(result, writing, number, (result, *writing.beside))
    yield from CHECKS[writing.wanted.form](results, writing)


def _common_faults(result: Dataset, making: Making, number: int, siblings: Sequence[Dataset]) -> Iterator[Fault]:
    yield from _identity(result, making.source)
    yield from _uids(result, making, number)
    inside = _Inside.of(result)
    yield from _markings(result, inside, making.provenance)
    yield from _references(inside, siblings, making.source)
    yield from _predecessors(result, making)


def _identity(result: Dataset, source: SourceHeader) -> Iterator[Fault]:
    for keyword in IDENTITY:
        check_name = "study" if keyword.startswith("Study") else "patient"
        said = _plain(result, keyword)
        if said != _plain(source.common, keyword):
            yield check_name, f"{keyword} differs from the images'"
        received = _plain(source.first, keyword)
        # Against the header as received, so that a fault of the normaliser shows. Text beyond ASCII and
        # repaired values differ there for good reasons; they were compared with the normalised header above.
        comparable = received.isascii() and "\x1b" not in received and keyword not in source.repaired
        if comparable and said != received:
            yield check_name, f"{keyword} differs from the images' as they were received"


def _plain(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip().rstrip("^=")


def _uids(result: Dataset, making: Making, number: int) -> Iterator[Fault]:
    if str(result.SOPInstanceUID) != making.uid("instance", number):
        yield "uid", "SOP Instance UID is not the one that this job gives"
    if str(result.SeriesInstanceUID) not in (making.uid("series"), making.uid("series", number)):
        yield "uid", "Series Instance UID is not the one that this job gives"
    meta = result.file_meta
    stored = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID)
    if stored != (result.SOPClassUID, result.SOPInstanceUID):
        yield "uid", "the file meta information names another instance"


def _markings(result: Dataset, inside: _Inside, provenance: Provenance) -> Iterator[Fault]:
    if result.get("ContentQualification") != provenance.order.content_qualification:
        yield "qualification", f"{result.get('ContentQualification')} instead of " \
                               f"{provenance.order.content_qualification}"
    if result.get("Manufacturer") != "radnode":
        yield "equipment", "the object does not say that radnode made it"
    if result.get("SpecificCharacterSet") != "ISO_IR 192":
        yield "character set", "not ISO_IR 192"
    if any(tag >> 16 & 1 for tag in inside.tags):
        yield "private tags", "the object holds private elements"


def _references(inside: _Inside, siblings: Sequence[Dataset], source: SourceHeader) -> Iterator[Fault]:
    """Every instance and series named inside is an input of the job or a sibling result."""
    instances = set(source.instances) | {str(sibling.SOPInstanceUID) for sibling in siblings}
    instances.add(str(source.common.StudyInstanceUID))  # structure sets name the study as an instance
    series = set(source.instances.values()) | {str(sibling.SeriesInstanceUID) for sibling in siblings}
    if not inside.instances <= instances:
        yield "reference", "an instance is named that is neither an input nor a result of this job"
    if not inside.series <= series:
        yield "reference", "a series is named that is neither an input's nor a result's of this job"


def _predecessors(result: Dataset, making: Making) -> Iterator[Fault]:
    """What a report takes the place of: of the same study, so of the same patient, another report, and nothing else."""
    named = {
        (str(study.StudyInstanceUID), str(series.SeriesInstanceUID), str(each.ReferencedSOPClassUID),
         str(each.ReferencedSOPInstanceUID))
        for study in result.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }
    meant = {(each.study_instance_uid, each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
             for each in making.predecessors()}
    if named != meant:
        yield "predecessor", "the report does not name the ones that it takes the place of"
    if any(study != making.source.common.StudyInstanceUID for study, _, _, _ in named):
        yield "predecessor", "the report takes the place of one of another study"
    if any(uid == result.SOPInstanceUID for _, _, _, uid in named):
        yield "predecessor", "the report takes its own place"


@dataclass(slots=True)
class _Inside:
    """What stands anywhere in an object: all tags, and the instances and series it names but for its predecessors."""

    tags: set[int] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, result: Dataset) -> _Inside:
        inside = cls()
        inside._look(result)
        return inside

    def _look(self, dataset: Dataset) -> None:
        for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset decodes every element
            self.tags.add(int(tag))
            if tag == _PREDECESSORS:
                continue
            element = dataset.get_item(tag)
            if element.VR == "SQ" and element.is_raw and isinstance(element.value, bytes):
                self._look_at_columns(element.value)
            elif (element.VR or dataset[tag].VR) == "SQ":  # implicit VR: only the dictionary knows
                for item in dataset[tag].value:
                    self._look(item)
        if "ReferencedSOPInstanceUID" in dataset:
            self.instances.add(str(dataset.ReferencedSOPInstanceUID))
        if "SeriesInstanceUID" in dataset:
            self.series.add(str(dataset.SeriesInstanceUID))

    def _look_at_columns(self, sequence: bytes) -> None:
        """A segmentation has thousands of items; pydicom would take seconds for them."""
        for table in columns.tables(sequence):
            self.tags.update(tag for path in table.columns for tag in path)
            for found, tag in ((self.instances, 0x00081155), (self.series, 0x0020000E)):
                for values in table.every(tag):
                    found.update(value.decode("ascii", "replace") for value in values)
