"""Results made and looked at by hand: a saved findings file in any form, any result as text or as a picture."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from highdicom.color import CIELabColor
from PIL import Image
from pydicom.uid import UID, SegmentationStorage

from radnode.pipelines import registry
from radnode.pipelines.contract import InputInstance, Manifest, PipelineError, RunFailed, WorkOrder
from radnode.pipelines.forms import plan
from radnode.pipelines.results.decoding import masks
from radnode.pipelines.results.flat_overlay import flat_overlay_png
from radnode.pipelines.results.overlay import Outline, overlay_png
from radnode.pipelines.results.segmentation import LABEL_MAP_STORAGE
from radnode.pipelines.results.windows import window_for
from radnode.pipelines.runner import run
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections
from radnode.pipelines.sources.select import SourceInstance, select_stack
from radnode.pipelines.sources.volume import read_images
from radnode.pipelines.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydicom import Dataset

    from radnode.pipelines.contract import RunReport
    from radnode.pipelines.geometry import ColourImage, Projection, Volume
    from radnode.pipelines.languages import Language

_SEGMENTATIONS = (SegmentationStorage, LABEL_MAP_STORAGE)
# Newer than pydicom's dictionary.
_NAMES = {LABEL_MAP_STORAGE: "Label Map Segmentation Storage"}
_UNCOLOURED = (230, 200, 90)


def make(findings: Path, images: Path, pipeline: str, forms: Sequence[str], folder: Path,
         language: Language = "en") -> RunReport:
    """Write saved findings in these result forms, over the images they are about, through the gate.

    The results are RESEARCH and carry UIDs of their own, derived from the findings file: they never pass for those
    that the node sent. Raises ValueError for a form nobody writes, RunFailed for images that cannot be read.
    """
    key = f"by hand {hashlib.sha256(findings.read_bytes()).hexdigest()}"
    order = replace(order_by_hand(key, images, pipeline, forms, folder), findings=str(findings), language=language)
    return run(order, Warm(registry.installed), lambda _: None)


def try_pipeline(
    pipeline: str, images: Path, forms: Sequence[str], folder: Path, *, models: Path, device: str
) -> RunReport:
    """Run a pipeline or a model of the store on a folder of images, without a node, through the gate; RESEARCH.

    Raises ValueError for a form nobody writes, RunFailed for images that cannot be read.
    """
    order = replace(order_by_hand("tried by hand", images, pipeline, forms, folder), device=device)
    report = run(order, Warm(lambda: registry.installed(models=models)), lambda _: None)
    for produced in report.objects:
        if produced.sop_class_uid in _SEGMENTATIONS:
            picture(Path(produced.path), images, Path(produced.path).with_suffix(".png"))
    return report


def order_by_hand(key: str, images: Path, pipeline: str, forms: Sequence[str], folder: Path) -> WorkOrder:
    """An order over all images of a folder, on the CPU, for results that are never sent."""
    return order_over(key, tuple(_inputs(sorted(images.rglob("*")))), pipeline, forms, folder)


def order_of_files(key: str, files: Sequence[Path], pipeline: str) -> WorkOrder:
    """An order over these images, on the CPU, of which no result is written."""
    return order_over(key, tuple(_inputs(files)), pipeline, (), Path())


def order_over(
    key: str, instances: tuple[InputInstance, ...], pipeline: str, forms: Sequence[str], folder: Path
) -> WorkOrder:
    """An order over these images, on the CPU, for results that are never sent."""
    digest = hashlib.sha256("".join(sorted(each.digest for each in instances)).encode()).hexdigest()
    return WorkOrder(
        job_key=key,
        pipeline=pipeline,
        revision=1,
        instances=instances,
        input_digest=digest,
        configuration_digest="none: made by hand",
        forms=plan(forms),
        content_qualification="RESEARCH",
        output_folder=str(folder),
        device="cpu",
        node_version="by hand",
    )


def describe(path: Path) -> list[str]:
    """A result object as lines of text: what it is, whose, and what it says."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    lines = [
        f"{_kind(dataset)}, series {dataset.get('SeriesNumber')}: "
        f"{dataset.get('SeriesDescription', '')}",
        f"patient {dataset.get('PatientID', '')}, {dataset.get('PatientName', '')}; "
        f"study {dataset.get('StudyDate', '')} {dataset.get('AccessionNumber', '')}; "
        f"qualification {dataset.get('ContentQualification', 'not stated')}",
    ]
    if "SegmentSequence" in dataset:
        lines += list(_segments(dataset))
    if "StructureSetROISequence" in dataset:
        lines += [f"  {item.ROINumber}: {item.ROIName} ({item.ROIGenerationAlgorithm})"
                  for item in dataset.StructureSetROISequence]
    if "ContentSequence" in dataset:
        lines += list(_tree(dataset, 1))
    return lines


def picture(path: Path, images: Path | None, target: Path) -> None:
    """A result object as a PNG: a segmentation over its images, or the pixels of an image.

    Raises RunFailed for a kind of object that has no picture, or a segmentation whose images are not given.
    """
    dataset = pydicom.dcmread(path)
    if dataset.SOPClassUID in _SEGMENTATIONS:
        if images is None:
            raise RunFailed("name the folder of the images that the segmentation lies on (--images)")
        _overlay(dataset, images, target)
    elif "PixelData" in dataset and int(dataset.get("BitsAllocated", 0)) == 8:
        pixels = dataset.pixel_array
        Image.fromarray(pixels[0] if int(dataset.get("NumberOfFrames", 1)) > 1 else pixels).save(target, format="PNG")
    else:
        raise RunFailed(f"{_kind(dataset)} has no picture of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one validator said. passed: None if it is not installed."""

    validator: str
    passed: bool | None
    lines: tuple[str, ...] = ()


def validate(path: Path) -> tuple[Verdict, ...]:
    """Ask every validator on this machine that knows this kind of object."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    verdicts = [_ask("dciodvfy", path, "Error")]
    if "ContentSequence" in dataset:
        verdicts.append(_ask("dsrdump", path, "E: ", "F: "))
    if dataset.get("Modality") == "PR":
        verdicts.append(_ask("dcmpschk", path, "E: ", "F: ", "Test failed"))
    return tuple(verdicts)


def _ask(name: str, path: Path, *faults: str) -> Verdict:
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        return Verdict(validator=name, passed=None)
    # A name on the command line that begins with a hyphen would be an option.
    done = subprocess.run(  # noqa: S603 - a known program, no shell
        [program, str(path.resolve())], capture_output=True, check=False, timeout=120
    )
    said = (done.stderr if name != "dcmpschk" else done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    lines = tuple(line for line in said if line.startswith(faults))
    return Verdict(validator=name, passed=done.returncode == 0 and not lines, lines=lines)


def _kind(dataset: Dataset) -> str:
    return _NAMES.get(str(dataset.SOPClassUID), UID(dataset.SOPClassUID).name)


def _inputs(files: Iterable[Path]) -> Iterator[InputInstance]:
    for path in (path for path in files if path.is_file()):
        try:
            header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "SeriesInstanceUID"])
        except pydicom.errors.InvalidDicomError:
            continue
        yield InputInstance(
            sop_instance_uid=str(header.SOPInstanceUID),
            series_instance_uid=str(header.SeriesInstanceUID),
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            path=str(path),
        )


def _segments(dataset: Dataset) -> Iterator[str]:
    for item in dataset.SegmentSequence:
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        side = [code.CodeMeaning for code in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        named = ", ".join([f"{kind.CodeMeaning} ({kind.CodeValue}, {kind.CodingSchemeDesignator})", *side])
        yield f"  {item.SegmentNumber}: {item.SegmentLabel}: {named}"


def _tree(item: Dataset, depth: int) -> Iterator[str]:
    for child in item.get("ContentSequence", []):
        names = child.get("ConceptNameCodeSequence")
        name = str(names[0].CodeMeaning) if names else ""
        said = _said(child)
        line = f"{name} = {said}" if name and said else name or said
        yield f"{'  ' * depth}{child.get('RelationshipType', '')}: {line}"
        yield from _tree(child, depth + 1)


def _said(item: Dataset) -> str:
    """The value of one content item, in a line."""
    kind = item.get("ValueType", "by reference")
    if kind == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if kind == "NUM" and item.get("MeasuredValueSequence"):
        value = item.MeasuredValueSequence[0]
        return f"{value.NumericValue} {value.MeasurementUnitsCodeSequence[0].CodeValue}"
    if kind in ("IMAGE", "COMPOSITE"):
        reference = item.ReferencedSOPSequence[0]
        parts = [str(reference.ReferencedSOPInstanceUID)]
        parts += [f"{word} {reference[keyword].value}" for word, keyword in
                  (("frame", "ReferencedFrameNumber"), ("segment", "ReferencedSegmentNumber")) if keyword in reference]
        return " ".join(parts)
    if kind in ("SCOORD", "SCOORD3D"):
        return f"{item.GraphicType} {' '.join(f'{value:g}' for value in item.GraphicData)}"
    for keyword in ("TextValue", "UID", "PersonName", "Date", "Time", "DateTime"):
        if keyword in item:
            return str(item[keyword].value)
    reference_to: Any = item.get("ReferencedContentItemIdentifier")
    return "" if reference_to is None else f"see item {'.'.join(map(str, reference_to))}"


def _overlay(segmentation: Dataset, images: Path, target: Path) -> None:
    again = pydicom.dcmread(str(segmentation.filename))  # who draws wants the sequence as it came
    if all("PlanePositionSequence" not in group for group in again.PerFrameFunctionalGroupsSequence):
        colours = {int(item.SegmentNumber): _colour(item) for item in segmentation.SegmentSequence}
        flat_overlay_png(segmentation, _images(images), colours, target)
        return
    headers = _headers(images, _of_series(segmentation))
    volume, first = _stack(headers), headers[0].dataset
    found = masks(segmentation, volume.affine, volume.voxels.shape)
    outlines = [
        Outline(label=str(item.SegmentLabel), mask=found[int(item.SegmentNumber)], rgb=_colour(item))
        for item in segmentation.SegmentSequence if int(item.SegmentNumber) in found
    ]
    window = window_for(str(first.get("Modality", "")), volume, [each.mask for each in outlines],
                        str(first.get("BodyPartExamined") or ""))
    overlay_png(volume, outlines, target, title=str(segmentation.get("SeriesDescription", "")), window=window)


def _colour(segment: Dataset) -> tuple[int, int, int]:
    """The colour that the object recommends, so that the picture looks as it does in a viewer."""
    if "RecommendedDisplayCIELabValue" not in segment:
        return _UNCOLOURED
    return CIELabColor.from_dicom_value(list(segment.RecommendedDisplayCIELabValue)).to_rgb(clip=True)


def _of_series(segmentation: Dataset) -> str:
    """The series that the segments lie on; "" if it names none, or several."""
    named = {str(each.get("SeriesInstanceUID", "")) for each in segmentation.get("ReferencedSeriesSequence", [])}
    return named.pop() if len(named) == 1 else ""


def _images(folder: Path) -> tuple[Projection | ColourImage, ...]:
    """The images in a folder that are no slices, as for a pipeline that takes any of their modality."""
    headers = _headers(folder, "")
    first = headers[0].dataset
    raw = first.get("PresentationIntentType") == "FOR PROCESSING"
    reads = "projection" if "MONOCHROME" in str(first.get("PhotometricInterpretation")) else "colour"
    wanted = replace(_any_stack(first), reads="raw projection" if raw else reads, min_slices=1)
    try:
        return read_projections(select_projections(headers, wanted), wanted).projections
    except PipelineError as error:
        raise RunFailed(f"the images cannot be shown: {error}") from error


def _headers(folder: Path, series_instance_uid: str) -> list[SourceInstance]:
    """series_instance_uid: of this series alone, if given."""
    headers = []
    for each in _inputs(sorted(folder.rglob("*"))):
        if series_instance_uid not in ("", each.series_instance_uid):
            continue
        path = Path(each.path)
        headers.append(SourceInstance(path=path, dataset=pydicom.dcmread(path, stop_before_pixels=True)))
    if not headers:
        raise RunFailed(f"no DICOM file in {folder}")
    return headers


def _volume(folder: Path, series_instance_uid: str = "") -> Volume:
    """The stack in a folder, chosen as for a pipeline that takes any; series_instance_uid: of this series, if given."""
    return _stack(_headers(folder, series_instance_uid))


def _stack(headers: Sequence[SourceInstance]) -> Volume:
    try:
        return read_images(select_stack(headers, _any_stack(headers[0].dataset)), "").volume
    except PipelineError as error:
        raise RunFailed(f"the images are no stack: {error}") from error


def _any_stack(header: Dataset) -> Manifest:
    return Manifest(
        name="show", version="0", title="show", entry="", modality=str(header.get("Modality", "")), sheared=True,
        min_slices=2, intended_use="", licence="", device_memory_mb=0, algorithm_family="", model_digest="",
        series_number=1,
    )
