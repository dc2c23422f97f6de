"""Pipelines are known from their manifests; a broken one is refused by name and harms no other."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import pytest
from support import bundles, described, sample_pipelines

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import store
from radnode.pipelines.registry import GROUP, ManifestError, Registry, installed, load, parse

if TYPE_CHECKING:
    from pathlib import Path


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


def test_an_installed_package_offers_its_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(sample_pipelines.install(tmp_path))
    found = installed()
    assert found.manifests["sample"].title == "Sample of a pipeline"
    assert "sample" not in found.refused


def test_reading_a_manifest_runs_no_code_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(sample_pipelines.install(tmp_path, extra="never imported"))
    assert "sample" in installed().manifests
    assert "sample_pipeline" not in sys.modules


def test_a_package_inside_another_is_found_without_importing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer_package").mkdir()
    (tmp_path / "outer_package" / "__init__.py").write_text("raise AssertionError", encoding="utf-8")
    sample_pipelines.install(tmp_path / "outer_package", package="inner_package", extra="never imported")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(installed([_point("sample", "outer_package.inner_package")]).manifests) == ["sample"]
    assert "outer_package" not in sys.modules


def test_the_built_in_pipelines_are_installed_and_none_is_refused() -> None:
    offered = {point.name for point in entry_points(group=GROUP)}
    found = installed()
    assert found.refused == {}
    assert set(found.manifests) == offered


def test_knowing_the_pipelines_costs_no_torch_and_no_writer() -> None:
    program = (
        "import sys; from radnode.pipelines.registry import installed; installed()\n"
        "heavy = ('torch', 'highdicom', 'radnode.pipelines.ct_lung')\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_two_packages_with_one_name_are_both_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("first_package", "second_package"):
        sample_pipelines.install(tmp_path, package=package)
    monkeypatch.syspath_prepend(tmp_path)
    found = installed([_point("sample", "first_package"), _point("sample", "second_package")])
    assert found.manifests == {}
    assert "uninstall all but one" in found.refused["sample"]


def test_a_broken_pipeline_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample_pipelines.install(tmp_path)
    sample_pipelines.install(tmp_path, name="broken", package="broken_package", manifest="- a list")
    monkeypatch.syspath_prepend(tmp_path)
    found = installed(
        [
            _point("sample", "sample_pipeline"),
            _point("broken", "broken_package"),
            _point("gone", "no_such_package"),
            _point("odd", "../etc"),
        ]
    )
    assert list(found.manifests) == ["sample"]
    assert set(found.refused) == {"broken", "gone", "odd"}


def test_the_manifest_and_the_entry_point_have_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_pipelines.install(tmp_path, manifest=sample_pipelines.manifest_text(name="other"))
    monkeypatch.syspath_prepend(tmp_path)
    assert "make them equal" in installed([_point("sample", "sample_pipeline")]).refused["sample"]


@pytest.mark.parametrize(("old", "new", "says"), [
    ("version: 1.2.3", "", "missing `version`"),
    ("licence: Apache-2.0", "license: Apache-2.0", "did you mean `licence`"),
    ("min_slices: 3", "min_slices: many", "expected a whole number"),
    ("min_slices: 3", "min_slices: 0", "at least 1"),
    ("min_slices: 3", "min_slices: true", "expected a whole number"),
    ("sheared: false", "sheared: 0", "expected true or false"),
    ("version: 1.2.3", "version: 1.2", "expected a text"),
    ("version: 1.2.3", "version: latest", "a version like 1.2.3"),
    ("modality: CT", "modality: ct", "a DICOM modality"),
    ("ab" * 32, "abc", "a SHA-256"),
    ("title: Sample of a pipeline", "title: ''", "is empty"),
    ("algorithm_family: Morphological Operations", "algorithm_family: Magic", "expected one of"),
    ("entry: sample_pipeline.code:Sample", "entry: os.system('x')", "module:attribute"),
    ("name: sample", "name: sample\nname: sample", "not YAML"),
    ("name: sample", "name: !!python/object:os.system sample", "not YAML"),
])  # fmt: skip
def test_a_mistake_in_a_manifest_is_named_with_its_cure(old: str, new: str, says: str) -> None:
    text = sample_pipelines.manifest_text()
    assert old in text
    with pytest.raises(ManifestError, match=says.replace("(", r"\(")):
        parse(text.replace(old, new))


def test_a_pipeline_that_cannot_be_imported_fails_by_name() -> None:
    text = sample_pipelines.manifest_text().replace("sample_pipeline.code", "no_such_module")
    with pytest.raises(RunFailed, match="no_such_module:Sample"):
        load(Registry(manifests={"sample": parse(text)}, refused={}), "sample")


_ONE = "modality: CT\nsheared: false\nmin_slices: 3\n"
_SEVERAL = """\
sheared: false
registers: true
inputs:
  - {name: t1c, modality: MR, content: T1c, plane: axial, min_slices: 20}
  - {name: adc, modality: MR, content: ADC, coverage: 0.5, largest_spacing_mm: 4}
  - {name: dce, modality: MR, where: {SeriesDescription: dce, TemporalPositionIdentifier: {at_least: 2, at_most: 2}}}
"""


def test_a_manifest_of_several_inputs_has_the_modality_and_the_slices_of_the_first() -> None:
    manifest = parse(sample_pipelines.manifest_text().replace(_ONE, _SEVERAL))
    assert [each.name for each in manifest.inputs] == ["t1c", "adc", "dce"]
    assert (manifest.modality, manifest.min_slices, manifest.registers) == ("MR", 20, True)
    assert manifest.inputs[1].wanted == "MR, ADC"
    assert manifest.inputs[2].where[1].at_least == manifest.inputs[2].where[1].at_most == 2
    assert parse(sample_pipelines.manifest_text()).inputs == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sheared: false", "sheared: false\nmodality: MR", "`modality` is said by each of `inputs`"),
        ("content: T1c", "content: T1 post", "expected one of T1, T1c, T2"),
        ("name: adc", "name: t1c", "two inputs are named t1c"),
        ("plane: axial", "plane: up", "expected one of axial, coronal, sagittal"),
        ("modality: MR, content: ADC", "modality: US, content: ADC", "expected one of CT, MR, PT"),
        ("min_slices: 20", "slices: 20", "has the key `slices`"),
        ("min_slices: 20", "optional: true", "t1c is the first, on which results lie"),
        ("coverage: 0.5", "optional: 1", "`optional: 1`, expected true or false"),
        ("coverage: 0.5", "coverage: 50", "`coverage: 50`, expected a number"),
        ("SeriesDescription: dce", "SeriesDescription: '(dce'", "SeriesDescription: missing"),
        ("at_least: 2", "more: 2", "expected a pattern, `at_least` or `at_most`"),
    ],
)
def test_a_mistake_in_the_inputs_is_named_with_its_cure(old: str, new: str, says: str) -> None:
    text = sample_pipelines.manifest_text().replace(_ONE, _SEVERAL.replace(old, new))
    with pytest.raises(ManifestError) as raised:
        parse(text)
    assert says in str(raised.value)


_SLOTTED = sample_pipelines.manifest_text() + "slots: [organs, tumour]\n"
_ITS_MODELS = "def __init__(self, models):\n    self.models = models\ndef run"


@pytest.fixture
def slotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed pipeline `sample` with two slots; the folder of a model store in which nothing is yet."""
    sample_pipelines.install(tmp_path, manifest=_SLOTTED)
    code = tmp_path / "sample_pipeline" / "code.py"
    code.write_text(code.read_text().replace("def run", _ITS_MODELS.replace("\n", "\n    ")))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sample_pipeline", raising=False)
    monkeypatch.delitem(sys.modules, "sample_pipeline.code", raising=False)
    return tmp_path / "store"


def test_a_model_of_the_store_fills_the_slot_that_it_is_named_for_and_changes_the_digest(
    slotted: Path, tmp_path: Path
) -> None:
    empty = installed([_point("sample", "sample_pipeline")], models=slotted)
    assert load(empty, "sample").models == {}  # type: ignore[attr-defined]
    pin = store.add(slotted, described.write_model(tmp_path / "tiny"), name="sample-organs")

    filled = installed([_point("sample", "sample_pipeline")], models=slotted)

    models = load(filled, "sample").models  # type: ignore[attr-defined]
    assert {slot: model.manifest.model_digest for slot, model in models.items()} == {"organs": pin.sha256}
    assert empty.manifests["sample"].model_digest == "ab" * 32 != filled.manifests["sample"].model_digest


def test_a_model_that_cannot_be_used_refuses_the_pipeline_whose_slot_it_fills(slotted: Path, tmp_path: Path) -> None:
    store.add(slotted, described.write_model(tmp_path / "tiny"), name="sample-organs")
    changed = slotted / "sample-organs" / "model.pt"
    changed.write_bytes(changed.read_bytes() + b"!")
    with pytest.raises(RunFailed, match="sample-organs: its files are not those that were added"):
        load(installed([_point("sample", "sample_pipeline")], models=slotted), "sample")
    (slotted / "sample-organs" / "model.yaml").unlink()
    found = installed([_point("sample", "sample_pipeline")], models=slotted)
    assert "its slot organs, sample-organs:" in found.refused["sample"]
    assert "sample" not in found.manifests


def test_what_the_model_of_a_slot_reads_besides_is_asked_of_the_study_and_may_be_missing(
    slotted: Path, tmp_path: Path
) -> None:
    text = _SLOTTED.replace(_ONE, "sheared: false\ninputs: [{name: head, modality: MR, content: T1}]\n")
    (tmp_path / "sample_pipeline" / "pipeline.yaml").write_text(text)
    store.add(slotted, bundles.write_brats(tmp_path / "brats"), name="sample-tumour")
    asked = installed([_point("sample", "sample_pipeline")], models=slotted).manifests["sample"].inputs
    assert [(each.name, each.content, each.optional) for each in asked] == [
        ("head", "T1", False), ("t1c", "T1c", True), ("t2", "T2", True), ("flair", "FLAIR", True)]


@pytest.mark.parametrize("said", ["organs", "[organs, organs]", "[Organs]", "[4]", "{organs: 1}"])
def test_slots_that_are_no_list_of_words_are_refused(said: str) -> None:
    with pytest.raises(ManifestError, match="expected a list of different lower-case words"):
        parse(f"{sample_pipelines.manifest_text()}slots: {said}\n")
