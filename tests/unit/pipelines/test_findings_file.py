"""Findings come back from their file as they were, and only over the images they are about."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import result_samples as samples

from radnode.pipelines import findings_file
from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import (
    Classification,
    Code,
    Composite,
    Detection,
    Failure,
    Findings,
    InPatient,
    Map,
    MapKind,
    Measurement,
    OnImage,
    Path,
    Relation,
    Rendering,
    Segment,
)

if TYPE_CHECKING:
    from pathlib import Path as File

NODULE = Code("27925004", "SCT", "Nodule")
UNITY = Code("1", "UCUM", "no units")


def _everything() -> Findings:
    """Every kind of finding, label maps and masks, over a small stack."""
    volume = samples.volume_of(samples.stack())
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    labels[1, 2:5, 3:7], labels[2:4, 8, 9] = 4, 7
    image = volume.frames[2].sop_instance_uid
    outline = np.array([[3.5, 4.5], [9.25, 4.5], [6.0, 8.0]])
    shared = {"category": samples.ANATOMY, "type": samples.LUNG, "rgb": (1, 2, 3), "voxels": labels}
    return replace(
        samples.lungs(volume),
        segments=(
            *samples.lungs(volume).segments,
            Segment(key="four", label="肺", value=4, certainty=0.5, **shared),
            Segment(key="seven", label="7", value=7, site=samples.LUNG, **shared),
        ),
        detections=(
            Detection(key="d1", label="n1", type=NODULE, certainty=0.25, rendering=Rendering.OPTIONAL,
                      at=OnImage(sop_instance_uid=image, center=(5.0, 6.0), outline=outline)),
            Detection(key="d2", label="n2", type=NODULE, laterality=samples.LEFT, descriptors=((NODULE, NODULE),),
                      at=InPatient(center_lps=(1.5, -2.0, 3.0), extent_mm=(4.0, 5.0, 6.0))),
        ),
        composites=(Composite(key="c", label="both", type=NODULE, members=("d1", "d2"), relation=Relation.OVER_TIME),),
        measurements=(
            Measurement(of="d1", name=NODULE, value=0.1, unit=UNITY,
                        path=Path(sop_instance_uid=image, points=outline[:2])),
        ),
        classifications=(Classification(key="k", name=NODULE, value=NODULE, of="d1", certainty=1.0),),
        maps=(
            Map(key="m", label="heat", kind=MapKind.PROBABILITY, category=samples.ANATOMY, type=samples.LUNG,
                quantity=NODULE, unit=UNITY, rgb=(9, 8, 7), values=np.full(volume.voxels.shape, 0.5, np.float32)),
        ),
        looked_for=(NODULE,),
        failures=(Failure(what=NODULE, reason="out of time"),),
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if is_dataclass(one):
        return type(one) is type(other) and all(
            _same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) and type(one) is type(other)


def test_every_kind_of_finding_comes_back_as_it_was(tmp_path: File) -> None:
    findings = _everything()
    findings_file.save(findings, tmp_path / "findings.zip")
    again = findings_file.load(tmp_path / "findings.zip", findings.volume)
    assert _same(findings, again)
    assert again.segments[2].voxels is again.segments[3].voxels


def test_findings_are_not_laid_over_other_images(tmp_path: File) -> None:
    findings = _everything()
    findings_file.save(findings, tmp_path / "findings.zip")
    shifted = findings.grid.affine.copy()
    shifted[2, 3] += 1
    with pytest.raises(RunFailed, match="about other images"):
        findings_file.load(tmp_path / "findings.zip", replace(findings.grid, affine=shifted))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_a_file_that_holds_no_findings_is_refused(content: bytes, tmp_path: File) -> None:
    (tmp_path / "findings.zip").write_bytes(content)
    with pytest.raises(RunFailed, match="no findings file"):
        findings_file.load(tmp_path / "findings.zip", samples.volume_of(samples.stack()))


def _segment(key: str, voxels: Any, value: int = 1) -> Segment:
    return Segment(key=key, label=key, category=samples.ANATOMY, type=samples.LUNG, voxels=voxels, value=value,
                   rgb=(0, 0, 0))


def test_findings_that_contradict_themselves_are_refused() -> None:
    volume = samples.volume_of(samples.stack())
    mask = np.ones(volume.voxels.shape, dtype=bool)
    labels = mask.astype(np.uint8)
    with pytest.raises(ValueError, match="not unique"):
        Findings(volume=volume, segments=(_segment("a", mask), _segment("a", mask)))
    with pytest.raises(ValueError, match="has shape"):
        Findings(volume=volume, segments=(_segment("a", mask[1:]),))
    with pytest.raises(ValueError, match="no voxel"):
        Findings(volume=volume, segments=(_segment("a", labels, 2),))
    with pytest.raises(ValueError, match="no voxel"):
        _segment("a", mask & False)
    with pytest.raises(ValueError, match="not between 0 and 1"):
        Classification(key="k", name=NODULE, value=NODULE, certainty=1.5)
    with pytest.raises(ValueError, match="unknown findings"):
        Findings(volume=volume, measurements=(Measurement(of="b", name=NODULE, value=1.0, unit=UNITY),))
    with pytest.raises(ValueError, match="not read"):
        Findings(volume=volume, detections=(
            Detection(key="d", label="d", type=NODULE, at=OnImage(sop_instance_uid="1.2.3", center=(1.0, 1.0))),
        ))
    with pytest.raises(ValueError, match="projection images"):
        Findings()
