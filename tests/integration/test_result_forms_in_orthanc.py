"""Every form that there is a writer for, in a real archive: it is stored, or the archive gets another instead.

As it comes, Debian's Orthanc 1.10 takes no Label Map Segmentation, which is newer than it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.misc import is_dicom
from support import dcmtk
from support.chest import write_chest
from support.network import free_port
from support.node import NodeProcess, archive, modality
from support.orthanc import Orthanc, Target
from support.source_matrix import SOURCES, names_of, write_files
from support.waiting import eventually

from radnode.pipelines.forms import FORMS
from radnode.pipelines.results.writers import WRITERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ENDED = {"CONFIRMED", "DEAD", "WITHDRAWN", "REPLACED"}
NEEDS_OTHER_FINDINGS = {"NOT-PROCESSED", "FRACTIONAL", "PM", "OHIF", "MAMMOGRAPHY-CAD", "CHEST-CAD", "KEY-OBJECTS",
                       "IMAGES"}
"""Forms without anything to show of the lungs of a phantom: a refusal, probabilities, a map, marks."""


SHOWN_OVER = {"MAMMOGRAPHY-CAD": "mammograms", "OHIF": "chest radiograph"}


class Delivered:
    """One study through the node into Orthanc, in every form."""

    def __init__(self, node: NodeProcess, orthanc: Orthanc, study_instance_uid: str) -> None:
        self.node = node
        self.orthanc = orthanc
        self.study_instance_uid = study_instance_uid

    def deliveries(self) -> list[dict[str, Any]]:
        """As an administrator sees them."""
        return list(self.node.timeline(self.study_instance_uid)["deliveries"])

    def is_settled(self) -> bool:
        """Each delivery has ended, and what was replaced for the label map has gone out beside the other one."""
        found = {each["name"]: each["state"] for each in self.deliveries()}
        beside = {name.replace("+LABELMAP", "+SEG") for name in found}
        return bool(found) and set(found.values()) <= ENDED and beside <= set(found)

    def held(self) -> dict[str, bytes]:
        """SOP Instance UID -> what Orthanc holds of the results."""
        uids = {each["sop_instance_uid"] for each in self.deliveries()}
        return {
            str(each.SOPInstanceUID): each.to_json().encode()
            for each in self.orthanc.datasets(self.study_instance_uid) if each.SOPInstanceUID in uids
        }


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    folder = tmp_path_factory.mktemp("forms")
    series = write_chest(folder / "ct", slices=20)
    target = Target(ae_title="RADNODE", port=free_port())
    with ExitStack() as running:
        orthanc = running.enter_context(
            Orthanc(folder / "orthanc", node=target, forward="foreign", unknown_classes=False)
        )
        node = running.enter_context(NodeProcess(folder / "node", port=target.port, peers=[
            archive(orthanc.port, ae_title="ORTHANC", result_forms=list(WRITERS), answers_find=True), modality(),
        ]))
        dcmtk.dcmsend(node.port, folder / "ct", called="RADNODE")
        found = Delivered(node, orthanc, series.study_instance_uid)
        eventually(found.is_settled, within=300, why=lambda: f"all ended: {found.deliveries()}")
        yield found


@pytest.mark.catalogue("R2", "R17")
@pytest.mark.parametrize("form", sorted(set(WRITERS) - NEEDS_OTHER_FINDINGS))
def test_a_form_is_stored_or_replaced_by_one_that_is(delivered: Delivered, form: str) -> None:
    states = {each["name"]: each["state"] for each in delivered.deliveries() if each["form"] == form}
    stored = {each["form"] for each in delivered.deliveries() if each["state"] == "CONFIRMED"}
    assert states
    assert set(states.values()) <= {"CONFIRMED", "REPLACED"}, delivered.deliveries()
    assert form in stored or FORMS[form].fallback in stored


def test_nothing_is_dead_and_the_alarm_names_what_is_sent_instead_of_label_maps(delivered: Delivered) -> None:
    by_name = {each["name"]: each for each in delivered.deliveries()}
    assert by_name["LABELMAP"]["state"] == "REPLACED"
    assert "replaced by SEG" in by_name["LABELMAP"]["reason"]
    assert "DEAD" not in {each["state"] for each in by_name.values()}
    assert "PACS refused LABELMAP" in delivered.node.alarms()
    assert "it gets SEG instead" in delivered.node.alarms()


@pytest.mark.catalogue("R9")
def test_a_report_that_orthanc_holds_refers_to_a_segmentation_that_orthanc_holds(delivered: Delivered) -> None:
    """The images it refers to came from elsewhere; only results are asked for."""
    held = delivered.orthanc.datasets(delivered.study_instance_uid)
    segmentations = {str(each.SOPInstanceUID) for each in held if each.Modality == "SEG"}
    reports = [each for each in held if each.Modality == "SR"]
    assert reports
    for report in reports:
        referred = _referred(report) & {each["sop_instance_uid"] for each in delivered.deliveries()}
        assert referred
        assert referred <= segmentations


def _referred(report: pydicom.Dataset) -> set[str]:
    return {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_sending_the_results_again_changes_nothing(delivered: Delivered) -> None:
    before = delivered.held()
    confirmed = {each["sop_instance_uid"] for each in delivered.deliveries() if each["state"] == "CONFIRMED"}
    assert set(before) == confirmed
    kept = [path for path in (delivered.node.data / "results").rglob("*") if path.is_file() and is_dicom(path)]
    files = [path for path in kept if pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID in confirmed]
    assert files
    dcmtk.dcmsend(delivered.orthanc.port, files, called="ORTHANC")
    assert delivered.held() == before


def test_an_administrator_has_the_refused_form_offered_again(delivered: Delivered) -> None:
    delivered.node.command("offer-again", "PACS", "--config", delivered.node.config)
    eventually(lambda: "refused LABELMAP" not in delivered.node.alarms(), within=60, why=delivered.node.alarms)
    again = delivered.node.command("offer-again", "PACS", "--config", delivered.node.config, check=False)
    assert again.returncode == 1


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc"), unknown_classes=False) as running:
        yield running


@pytest.mark.catalogue("R17")
@pytest.mark.parametrize("form", sorted(NEEDS_OTHER_FINDINGS - {"NOT-PROCESSED"}))
def test_a_form_of_other_findings_is_stored_as_it_was_sent_also_twice(
    orthanc: Orthanc, form: str, tmp_path: Path
) -> None:
    sample = SOURCES[SHOWN_OVER.get(form, "CT, upwards")]()
    names = names_of(form)
    provenance = replace(sample.provenance, order=replace(sample.provenance.order, forms=names))
    paths = write_files(sample, form, provenance, tmp_path)[names[-1]]
    assert paths
    for path in paths:
        for _ in range(2):
            dcmtk.dcmsend(orthanc.port, path, called="ORTHANC")
        sent = pydicom.dcmread(path)
        held = [each for each in orthanc.datasets(str(sent.StudyInstanceUID))
                if each.SOPInstanceUID == sent.SOPInstanceUID]
        assert held == [sent]
