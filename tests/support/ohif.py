"""Findings with places, and OHIF's importer in Node to read what is written of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.findings import Code, Detection, Findings, InPatient, Measurement, OnImage, Rendering
from radnode.pipelines.findings import Path as Line
from radnode.pipelines.geometry import to_patient
from support import result_samples as samples
from support.processes import missing, required

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

    from radnode.pipelines.geometry import Volume
    from support.node import NodeProcess
    from support.orthanc import Orthanc

FOLDER = Path(__file__).resolve().parents[1] / "ohif"
NODULE = Code("27925004", "SCT", "Nodule")
DIAMETER = Code("81827009", "SCT", "Diameter")
MILLIMETER = Code("mm", "UCUM", "millimeter")
SPACING = 0.8


def square_stack(**options: Any) -> tuple[Dataset, ...]:
    """A stack whose pixels are square, as OHIF needs them for marks."""
    headers = samples.stack(**options)
    for header in headers:
        header.PixelSpacing = [SPACING, SPACING]
    return headers


def marked(volume: Volume) -> Findings:
    """Lungs with a detection of every kind of place, each with other numbers, and two measured lines.

    round: an outline. box: a rectangle. pointed: a point. deep, deep-box: in the patient, off the middle of a slice.
    hidden: not to be shown.
    """
    uid = volume.frames[2].sop_instance_uid
    places = to_patient(volume.affine, np.array([(3.4, 12, 20), (0.7, 15, 8)]))
    deep, boxed = (tuple(point) for point in places.tolist())
    outline = np.array([(8, 7), (12, 6), (14, 9), (11, 12), (8, 10.5)], dtype=np.float64)
    box = np.array([(18, 7), (22.5, 7), (22.5, 10), (18, 10)])
    detections = (
        Detection(key="round", label="Nodule 1", type=NODULE, certainty=0.87, site=samples.LUNG,
                  laterality=samples.LEFT, at=OnImage(sop_instance_uid=uid, center=(10.75, 9.0), outline=outline)),
        Detection(key="box", label="Nodule 2", type=NODULE, at=OnImage(
            sop_instance_uid=uid, center=(20.25, 8.5), outline=box)),
        Detection(key="pointed", label="Nodule 3", type=NODULE, certainty=0.25,
                  at=OnImage(sop_instance_uid=uid, center=(25.5, 20.25))),
        Detection(key="deep", label="Nodule 4", type=NODULE, at=InPatient(center_lps=deep)),
        Detection(key="deep-box", label="Nodule 5", type=NODULE, certainty=0.5,
                  at=InPatient(center_lps=boxed, extent_mm=(4.0, 5.0, 6.0))),
        Detection(key="hidden", label="Nodule 6", type=NODULE, at=OnImage(sop_instance_uid=uid, center=(1, 1)),
                  rendering=Rendering.NOT_SHOWN),
    )
    volume_of = Measurement(of="round", name=samples.VOLUME, value=312.5, unit=samples.CUBIC_MM)
    across = _line("round", uid, [(8.0, 7.0), (12.0, 10.0)])
    lung = _line("lung-left", volume.frames[4].sop_instance_uid, [(18.5, 5.5), (18.5, 15.5)])
    base = samples.lungs(volume)
    return replace(base, detections=detections, measurements=(*base.measurements, volume_of, across, lung))


def _line(of: str, uid: str, points: Sequence[tuple[float, float]]) -> Measurement:
    ends = np.array(points)
    return Measurement(of=of, name=DIAMETER, value=float(np.hypot(*(ends[1] - ends[0])) * SPACING), unit=MILLIMETER,
                       path=Line(sop_instance_uid=uid, points=ends))


def imported(kind: str, result: Path, sources: Sequence[Path]) -> Any:
    """What OHIF's importer makes of a SEG or SR; see importer.mjs."""
    done = subprocess.run(
        [node(), FOLDER / "importer.mjs", kind, result, *sources],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def looked_at(server: Orthanc | NodeProcess, pictures: Path, *, credentials: str = "", **asked: Any) -> Any:
    """What a browser shows of a study in OHIF, from what serves DICOMweb at `http_port`; see browser.mjs."""
    viewer = FOLDER / "viewer" / "dist"
    if not viewer.is_dir():
        missing("OHIF is not installed; run deploy/peers/install.sh")
    asked |= {
        "viewer": str(viewer),
        "pacs": f"http://127.0.0.1:{server.http_port}",
        "credentials": credentials,
        "chromium": required("/usr/bin/chromium"),
        "pictures": str(pictures),
    }
    done = subprocess.run(
        [node(), FOLDER / "browser.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + server.log()
    return json.loads(done.stdout)


def node() -> str:
    """Node with the modules of tests/ohif; without them the test skips at the desk and fails where CI=true."""
    found = sorted((FOLDER / "node_modules").glob("node-linux-*/bin/node"))
    if not found:
        missing("OHIF's modules are not installed; run deploy/peers/install.sh")
    return str(found[0])
