"""From findings and references of many cases to the report."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.result_samples import CUBIC_MM, LEFT, MANIFEST, VOLUME, lungs, stack, volume_of

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.evaluation import files, plots
from radnode.pipelines.evaluation.cases import Case
from radnode.pipelines.evaluation.report import Figure, Table, Text, report
from radnode.pipelines.evaluation.running import CaseResult, CaseState, Evaluation
from radnode.pipelines.evaluation.scoring import Scores, score
from radnode.pipelines.evaluation.summary import summarise
from radnode.pipelines.evaluation.truth import Answer, Mark, Number, Structure, Truth
from radnode.pipelines.findings import Classification, Code, Detection, InPatient

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.evaluation.summary import Summary
    from radnode.pipelines.findings import Findings

FINDING = Code("121071", "DCM", "Finding")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("272519000", "SCT", "Absent")
NODULE = Code("27925004", "SCT", "Nodule")
CASES = 12


def _findings(number: int) -> Findings:
    """Lungs, a nodule at the place of the number, and an answer that turns from absent to present at case 6."""
    share = 0.05 + 0.9 * number / (CASES - 1)
    return replace(
        lungs(volume_of(stack())),
        detections=(Detection(key="n", label="Nodule", type=NODULE, at=InPatient(center_lps=(number, 0, 0)),
                              certainty=share),),
        classifications=(Classification(key="a", name=FINDING, value=PRESENT if share >= 0.5 else ABSENT,
                                        certainty=max(share, 1 - share)),),
    )


def _truth(number: int, findings: Findings) -> Truth:
    left = next(each for each in findings.segments if each.laterality == LEFT)
    drawn = left.mask.copy()
    drawn[-1] = False
    return Truth(
        structures=(Structure(label="Lung_L", voxels=drawn),),
        marks=(Mark(at=InPatient(center_lps=(0, 0, 0)), radius=5.0, label="nodule"),) if number < 9 else (),
        answers=(Answer(name="finding", value="present" if number > 5 or number == 1 else "absent"),),
        numbers=(Number(of="Left lung", name="volume", value=1000.0 + number, unit="mm3"),
                 Number(of="Right lung", name="volume", value=1.0, unit="mL"),
                 Number(of="Left lung", name="weight", value=1.0, unit="g")),
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    results = []
    for number in range(CASES):
        case = Case(
            study_instance_uid=f"1.{number}", series_instance_uids=(f"1.{number}.1",), accession_number="",
            patient_id=f"CANARY-{number}", images=(),
            subgroups={"scanner": "Works & <Sons>", "sex": "female" if number % 2 else "male", "age": "unknown"})
        found = _findings(number)
        results.append(CaseResult(case=case, state=CaseState.COMPARED, scores=score(found, _truth(number, found))))
    failed = replace(results[0], state=CaseState.FAILED, reason="RuntimeError in the step infer", scores=Scores())
    return Evaluation(
        manifest=MANIFEST, device="cpu", started=datetime(2026, 1, 2, tzinfo=UTC), images=99, series_left_out=1,
        references=12, results=(*results, replace(failed, case=replace(failed.case, series_instance_uids=("2.1",)))),
        unread=())


@pytest.fixture(scope="module")
def summary(evaluation: Evaluation) -> Summary:
    return summarise(evaluation)


def test_a_metric_is_given_over_all_and_over_each_subgroup_that_differs(summary: Summary) -> None:
    (lung,) = summary.structures
    assert [row.group for row in lung.rows] == ["all", "sex: female", "sex: male"]
    assert [row.metrics["dice"].n for row in lung.rows] == [12, 6, 6]
    assert lung.rows[0].metrics["dice"].low is not None
    assert lung.rows[1].metrics["dice"].low is None


def test_a_case_with_marks_of_nothing_counts_its_detections_as_false(summary: Summary) -> None:
    """Nine nodules of radius 5 at the middle: the detections of cases 0 to 5 hit; the other six are false."""
    (nodules,) = summary.marks
    metrics = nodules.rows[0].metrics
    assert (nodules.marks, nodules.detections, nodules.cases) == (9, 12, 12)
    assert metrics["sensitivity"].value == 6 / 9
    assert metrics["precision"].value == 0.5
    assert metrics["false marks a case"].value == 0.5
    assert nodules.froc is not None
    assert nodules.points[0.5].value == 6 / 9
    assert nodules.points[0.25].value == 0.0


def test_an_answer_is_judged_as_presence_with_auc_and_calibration(summary: Summary) -> None:
    """Case 1 is sick and said to be healthy; 6 to 11 are sick. Of 35 pairs those of case 1 with 2 to 5 are reversed."""
    (asked,) = summary.answers
    (present,) = asked.classes
    assert asked.rows[0].metrics["accuracy"].value == 11 / 12
    assert present.rows[0].metrics["sensitivity"].value == 6 / 7
    assert present.rows[0].metrics["specificity"].value == 1.0
    assert present.rows[0].metrics["auc"].value == pytest.approx((35 - 4) / 35)
    assert present.scored == 12
    assert present.calibration is not None


def test_only_measurements_of_one_unit_are_compared_and_the_others_are_named(
    evaluation: Evaluation, summary: Summary
) -> None:
    (compared,) = summary.measurements
    assert (compared.unit, compared.agreement.n) == (CUBIC_MM.value, 12)
    measured = next(each.value for each in _findings(0).measurements if each.name == VOLUME and each.of == "lung-left")
    assert compared.agreement.bias == pytest.approx(measured - 1005.5)
    notes = " ".join(evaluation.results[0].scores.notes)
    assert "the pipeline measures in mm3, the reference in mL" in notes
    assert "weight of Left lung: the pipeline gave none" in notes


def test_the_report_shows_every_kind_and_what_was_not_compared(
    evaluation: Evaluation, summary: Summary, tmp_path: Path
) -> None:
    blocks = report(evaluation, summary)
    captions = " ".join(block.caption for block in blocks if isinstance(block, Figure))
    for kind in ("Dice", "HD95", "Bland-Altman", "FROC", "ROC", "Calibration"):
        assert kind in captions
    cells = [cell for block in blocks if isinstance(block, Table) for row in block.rows for cell in row]
    assert "RuntimeError in the step infer" in cells
    assert any("12 of 13 cases were compared" in block.text for block in blocks if isinstance(block, Text))
    page = files.write(evaluation, summary, tmp_path)[0].read_text()
    assert "Works &amp; &lt;Sons&gt;" in page
    assert "CANARY" not in page
    assert json.loads((tmp_path / "metrics.json").read_text())["counts"]["failed"] == 1


def test_without_its_packages_an_evaluation_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(RunFailed, match=r"pip install 'radnode\[evaluate\]'"):
        plots.needed()
