"""Every result object says by itself what made it, of what, and that it is research."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import result_samples as samples
from support.source_matrix import SOURCES, names_of, write_files

from radnode.pipelines.forms import Wanted
from radnode.pipelines.results import not_processed
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writers import WRITERS
from radnode.pipelines.results.writing import Making

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.results.identity import Provenance

pytestmark = pytest.mark.goal("provenance")

_HAS_IT = {"MAMMOGRAPHY-CAD": "mammograms", "OHIF": "chest radiograph"}


@pytest.mark.catalogue("R15")
@pytest.mark.parametrize("form", WRITERS)
def test_an_object_of_each_form_carries_the_ten_facts_about_its_making(form: str, tmp_path: Path) -> None:
    if form == "NOT-PROCESSED":
        sample = samples.sample()
        making = Making(source=read_source(sample.headers, None), provenance=sample.provenance, wanted=Wanted(form))
        paths = [tmp_path / "refusal.dcm"]
        not_processed.write_refusal(making, "why not", failed=False).save_as(paths[0], enforce_file_format=True)
        provenance = sample.provenance
    else:
        sample = SOURCES[_HAS_IT.get(form, "CT, upwards")]()
        provenance = replace(sample.provenance, order=replace(sample.provenance.order, forms=names_of(form)))
        paths = write_files(sample, form, provenance, tmp_path)[names_of(form)[-1]]
    assert paths
    for path in paths:
        assert _ten_facts(path, provenance) == {}


def _ten_facts(path: Path, provenance: Provenance) -> dict[str, object]:
    """Those that the file does not say: fact -> what stands in its place."""
    manifest, order, found = provenance.manifest, provenance.order, pydicom.dcmread(path)
    (made,) = (each for each in found.ContributingEquipmentSequence if each.ManufacturerModelName == manifest.name)
    said = str(made.ContributionDescription)
    facts = {
        "pipeline": (manifest.name, made.ManufacturerModelName),
        "its version": (manifest.version, made.SoftwareVersions[0]),
        "digest of its model": (f"sha256 {manifest.model_digest[:48]}", made.SoftwareVersions[1]),
        "its device": (provenance.device_uid, made.DeviceUID),
        "version of the node": (order.node_version, found.SoftwareVersions[0]),
        "digest of the inputs": (True, f"input digest {order.input_digest}" in said),
        "number of the inputs": (True, f"{len(order.instances)} instances" in said),
        "configuration": (True, f"configuration {order.configuration_digest}" in said),
        "qualification": (order.content_qualification, found.ContentQualification),
        "qualification where viewers show it": (True, order.content_qualification in found.SeriesDescription),
    }
    assert len(facts) == 10
    return {fact: there for fact, (wanted, there) in facts.items() if wanted != there}
