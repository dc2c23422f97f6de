"""What radnode relies on about Orthanc, shown against a stand-in for the node: it forwards, repeatedly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chest import write_chest
from support.orthanc import Target
from support.pacs import StandInPacs
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer


def test_a_study_is_forwarded_when_it_is_stable_and_again_when_something_is_added(
    start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    series = write_chest(tmp_path / "ct", slices=4)
    late = series.files[3].rename(tmp_path / "late.dcm")
    with StandInPacs(ae_title="RADNODE") as node:
        orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=node.port), forward="foreign")
        orthanc.send(tmp_path / "ct")
        eventually(lambda: len(node.attempts) == 3, why=lambda: f"3 forwarded\n{orthanc.log()}")
        orthanc.send([late])
        eventually(lambda: len(node.attempts) == 7, why=lambda: f"all 4 forwarded again\n{orthanc.log()}")
        assert len(node.stored()) == 4
        assert {attempt.calling_ae for attempt in node.attempts} == {"ORTHANC"}


@pytest.mark.catalogue("S8")
def test_what_came_from_the_node_is_forwarded_only_by_the_careless_rule(
    start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    series = write_chest(tmp_path / "ct", slices=2)
    with StandInPacs(ae_title="RADNODE") as node:
        target = Target(ae_title="RADNODE", port=node.port)
        careful = start_orthanc(node=target, forward="foreign")
        careless = start_orthanc(node=target, forward="all", ae_title="CARELESS")
        for orthanc in (careful, careless):
            orthanc.send(tmp_path / "ct", calling="RADNODE")
        eventually(lambda: len(node.attempts) == 2, why=lambda: f"forwarded\n{careless.log()}")
        assert {attempt.calling_ae for attempt in node.attempts} == {"CARELESS"}
        assert len(careful.instances(series.study_instance_uid)) == 2


def test_it_keeps_its_images_through_a_kill(start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=2)
    orthanc = start_orthanc()
    orthanc.send(tmp_path / "ct")
    orthanc.kill()
    orthanc.start()
    datasets = orthanc.datasets(series.study_instance_uid, Modality="CT")
    assert [str(ds.PatientName) for ds in datasets] == ["Canaria^Serinus", "Canaria^Serinus"]
