"""Validators of DICOM objects, each an implementation of its own.

Whatever a validator says is a failure, unless its exact words are allowed below; so is a validator that could
not run, since two of them report errors with exit code 0.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from PIL import Image

from support import pixelmed
from support.processes import missing, required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

# IHE AI Results wants the Device UID of the algorithm in Contributing Equipment; private codes have a private
# scheme.
_ALLOWED_DCIODVFY = (
    r"\w+",
    # What the source lacks stays empty in the result.
    r"Warning - Missing attribute or value that would be needed to build DICOMDIR - Study (Date|Time|ID)",
    r"Warning - Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID",
    r"Warning - Dicom dataset contains attributes not present in standard DICOM IOD - "
    r"this is a Standard Extended SOP Class",
    # Pictures and maps of a whole region; which side is in the codes of the findings.
    r"Warning - is only permitted to be empty when actually unknown; .* - attribute <Laterality>",
    # The name as the source has it.
    r"Warning - Value dubious for this VR - \(0x[0-9a-f]{4},0x[0-9a-f]{4}\) PN .* - Retired Person Name form",
    r"Warning - Unrecognized defined term <99RADNODE> for value 1 of attribute <Coding Scheme Designator>",
)
# The Accession Number belongs to the study and, in a report, to the request as well.
_ALLOWED_DCENTVFY = (
    r"Warning - Different information entities for attribute - Element=<AccessionNumber> "
    r"IE <Series> versus <Study> for file <[^>]*> versus <[^>]*>",
    # What must be present, be it empty, is in the result also where the source lacks it.
    r"Warning - Attribute present in one instance but not the other - Element=<(PatientBirthDate|PatientSex|"
    r"StudyTime|StudyID|AccessionNumber|ReferringPhysicianName)> IE=<\w+> for file <[^>]*> versus <[^>]*>",
)
_ALLOWED_DSRDUMP = (
    r"W: The VR checker does not support this Specific Character Set: ISO_IR 192",
    r"W: Check for template constraints not yet supported",
)
# PixelMed knows the spelling of an older edition of PS3.16; 2024 and highdicom write "Source Series for
# Segmentation".
_ALLOWED_PIXELMED = (
    r"Warning: Template 1411 VolumetricROIMeasurements/.*: "
    r'Code \(121232,DCM,"Source Series for Segmentation"\) has different code meaning '
    r'\("Source Series for Segmentation"\) than code meaning in template concept name '
    r'\("Source series for segmentation"\)',
    # PS3.16 has had this code in CID 100 since 2023.
    r'Error: Template 1500 .*Code \(43468-8,LN,"XR unspecified body region"\) not found in context group 100',
    # That group is extensible and has nothing for visible light.
    r'Error: Template 1500 .*Code \((ES|GM|OP|SM|XC),DCM,"[\w -]+"\) not found in context group 100',
    # TID 1410 repeats the rows of TID 1501, so it tries a group that names TID 1410 as both.
    r'Warning: Template 1501 MeasurementGroup/.*: template ID encoded in first row container 1410 does not match '
    r'expected template ID 1501 - may be ambiguous template invocation',
    # Which questions a group answers is a parameter of TID 1410, 1411 and 1501; it does not know what it is bound to.
    r'Warning: [\d.]+: /.*/CONTAINER \(125007,DCM,"Measurement Group"\)/CODE \([^)]*\): Content Item not in template',
)
# It judges the bytes of a name as if they were ASCII, and says so of each that goes beyond.
_DCMPSCHK_KNOWS_NO_UTF_8 = (
    r"E: Error: Attribute value does not conform to data type definition\.\n"
    r"E:    Affected attribute: \w+ \([0-9a-f,]+\), Type (PN|LO|SH)\n"
    r"E:    Attribute value   : \[.*[^\x00-\x7f].*\]\n"
    r"E:    Expected format for each value: .*\n(E:\n)?"
)
# Of segmentations it knows neither UTF-8 nor that a region of both sides has no laterality of its own.
_ALLOWED_PIXELMED_OBJECT = (
    r"Warning: SOPCommonModule/SpecificCharacterSet/: .*: Unrecognized defined term :ISO_IR 192:",
    r"Error: .*: Illegal character\(s\) '[^\x00-\x7f]*' in value of \w\w VR - value is :.*:",
    r"Error: GeneralSeriesModule/Laterality/: : Missing conditional attribute",
)
# Patient Orientation has two values; where no frame has a place, it wants Derivation Image in each frame and shared.
_ALLOWED_PIXELMED_PROJECTION = (
    r"Error: GeneralImageModule/PatientOrientation/: PatientOrientation: "
    r"Incorrect value multiplicity - got 2 but expected 1-1",
    r"Error: DerivationImageMacro/DerivationImageSequence/: SharedFunctionalGroupsSequence/Item\[1\]/: "
    r"Missing required sequence attribute \(Type 2\)",
)
_PIXELMED_LINES = (
    r"Found Comprehensive(3D)?SR IOD",
    r"Found Root Template TID_1500 \(MeasurementReport\)",
    r"Root Template Validation Complete",
    r"IOD validation complete",
)


class Rejected(AssertionError):
    """A validator said something that is not allowed, or could not run."""


def dciodvfy(path: Path) -> None:
    """David Clunie's validator of information objects."""
    done = _run(_in_environment("dciodvfy"), path)
    lines = _lines(done.stderr)
    # It names the information object that it recognised; without one it has judged nothing.
    if not any(re.fullmatch(r"\w+", line) for line in lines):
        raise Rejected(f"dciodvfy did not recognise {path.name}: {lines}")
    _judge("dciodvfy", path.name, lines, _ALLOWED_DCIODVFY)
    if done.returncode != 0:
        raise Rejected(f"dciodvfy {path.name}: exit code {done.returncode}")


def dcentvfy(sources: Sequence[Path], results: Iterable[Path]) -> None:
    """Consistency of patient, study and series over sources and results together; it compares bytes.

    What it says about the sources alone is theirs, such as a reference to an image that was not sent.
    """
    known = [re.escape(line) for line in _lines(_run(_in_environment("dcentvfy"), *sources).stderr)]
    results = list(results)
    # A structure set must name its study as if it were an instance (PS3.3 C.8.8.5).
    known += [rf"Error - Missing SOPInstanceUID that was referenced - {re.escape(uid)} for file <[^>]*>"
              for uid in {str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in results}]
    done = _run(_in_environment("dcentvfy"), *sources, *results)
    _judge("dcentvfy", "sources and results", _lines(done.stderr), (*_ALLOWED_DCENTVFY, *known))
    if done.returncode != 0 and not any(line.startswith("Error") for line in _lines(done.stderr)):
        raise Rejected(f"dcentvfy: exit code {done.returncode}")


def dsrdump(path: Path) -> str:
    """DCMTK's reader of structured reports; what it printed."""
    done = _run(required("/usr/bin/dsrdump"), "-Ph", "+Pc", "+Pt", "+Pl", path)
    _judge("dsrdump", path.name, _lines(done.stderr), _ALLOWED_DSRDUMP)
    if done.returncode != 0:
        raise Rejected(f"dsrdump {path.name}: exit code {done.returncode}")
    return done.stdout


def pixelmed_report(path: Path) -> None:
    """PixelMed's validator of report templates."""
    lines = pixelmed.said(pixelmed.REPORT, path)
    for needed in _PIXELMED_LINES:
        if not any(re.fullmatch(needed, line) for line in lines):
            raise Rejected(f"DicomSRValidator {path.name} did not say {needed!r}: {lines}")
    _judge("DicomSRValidator", path.name, lines, (*_PIXELMED_LINES, *_ALLOWED_PIXELMED))


def dcmqi_report(path: Path, folder: Path) -> dict[str, Any]:
    """dcmqi's reader of TID 1500; the report as it understood it."""
    output = folder / "report.json"
    done = _run(_in_environment("tid1500reader"), "--inputDICOM", path, "--outputMetadata", output)
    if (
        done.returncode != 0
        or not output.is_file()
        or re.search(r"(?i)error|fail", done.stdout + done.stderr)
    ):
        raise Rejected(f"tid1500reader {path.name}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    read: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return read


def dcmqi_segments(path: Path, folder: Path) -> dict[int, NDArray[np.float64]]:
    """Voxel centres of each segment in LPS millimetres, (n, 3), as dcmqi and ITK read them; segment number ->
    points.
    """
    folder.mkdir(exist_ok=True)
    done = _run(
        _in_environment("segimage2itkimage"),
        "--inputDICOM",
        path,
        "--outputDirectory",
        folder,
        "--outputType",
        "nrrd",
    )
    if done.returncode != 0 or re.search(r"(?i)\berror|fail", done.stdout + done.stderr):
        raise Rejected(f"segimage2itkimage {path.name}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    read: dict[int, NDArray[np.float64]] = {}
    for image in sorted(folder.glob("*.nrrd")):
        labels, directions, origin = _nrrd(image)
        for label in np.unique(labels[labels > 0]):
            if int(label) in read:
                raise Rejected(f"segment {label} is in two files of segimage2itkimage")
            read[int(label)] = np.argwhere(labels == label)[:, ::-1] @ directions + origin
    return read


def _nrrd(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """(labels [k, j, i], space directions (i, j, k) in rows, origin), in LPS."""

    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    if fields["space"] != "left-posterior-superior":
        raise Rejected(f"unexpected space {fields['space']}")
    kind = {"short": "<i2", "unsigned char": "u1", "signed short": "<i2", "unsigned short": "<u2", "float": "<f4"}[
        fields["type"]
    ]
    content = gzip.decompress(body) if fields["encoding"] == "gzip" else body
    sizes = [int(size) for size in fields["sizes"].split()]
    labels = np.frombuffer(content, dtype=kind).reshape(sizes[::-1])
    vectors = [_vector(text) for text in re.findall(r"\([^)]*\)", fields["space directions"])]
    return labels, np.array(vectors), np.array(_vector(fields["space origin"]))


def _vector(text: str) -> list[float]:
    return [float(value) for value in text.strip("()").split(",")]


def _judge(validator: str, name: str, lines: Sequence[str], allowed: Sequence[str]) -> None:
    unknown = [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in allowed)]
    if unknown:
        raise Rejected(f"{validator} {name}:\n" + "\n".join(unknown))


def _lines(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.strip()]


def _in_environment(program: str) -> str:
    """A validator from a wheel lies beside the interpreter."""
    path = Path(sys.executable).parent / program
    if not path.is_file():
        missing(f"{program} is not installed; pip install 'radnode[dev]'")
    return str(path)


def _run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Validators print the bytes of the file, whatever its character set.
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )


def dcmtk_text(path: Path, tag: str) -> str:
    """An element as DCMTK prints it."""
    done = _run(required("/usr/bin/dcmdump"), "+P", tag, path)
    if done.returncode != 0:
        raise Rejected(f"dcmdump {path.name}: {done.stderr}")
    return done.stdout


def pixelmed_ohif_report(path: Path) -> None:
    """As :func:`pixelmed_report`; TID 1501 may be extended, and OHIF takes a mark's text from a Comment, and its place
    from coordinates in the group where no number has them.
    """
    lines = pixelmed.said(pixelmed.REPORT, path)
    if "IOD validation complete" not in lines:
        raise Rejected(f"DicomSRValidator {path.name} did not come to an end: {lines}")
    more = (r'Warning: .*/CONTAINER \(125007,DCM,"Measurement Group"\)/'
            r'(TEXT \(121106,DCM,"Comment"\)|SCOORD \((111010,DCM,"Center"|111041,DCM,"Outline")\)'
            r'(/IMAGE \(260753009,SCT,"Source"\))?): Content Item not in template')
    _judge("DicomSRValidator", path.name, lines, (*_PIXELMED_LINES, *_ALLOWED_PIXELMED, more))


def plastimatch(structure_set: Path, images: Path, folder: Path) -> dict[str, NDArray[np.bool_]]:
    """A structure set as plastimatch rasterises it on its images: structure -> bool (slice, row, column), head last.

    It orders slices by their place along the third patient axis.
    """
    prefix = folder / "masks"
    done = _run(required("/usr/bin/plastimatch"), "convert", "--input", structure_set, "--referenced-ct", images,
                "--output-prefix", prefix, "--prefix-format", "nrrd")
    written = sorted(prefix.glob("*.nrrd"))
    if done.returncode != 0 or not written:
        raise Rejected(f"plastimatch: {done.stdout} {done.stderr}")
    return {path.stem: _nrrd(path)[0].astype(np.bool_) for path in written}


def dcmtk_picture(path: Path, target: Path) -> NDArray[np.uint8]:
    """The pixels of an image as DCMTK shows them, uint8 (rows, columns, 3)."""
    done = _run(required("/usr/bin/dcm2pnm"), "--write-raw-pnm", path, target)
    if done.returncode != 0:
        raise Rejected(f"dcm2pnm {path.name}: {done.stderr}")
    with Image.open(target) as picture:
        return np.asarray(picture.convert("RGB"))


def pixelmed_cad(path: Path, *, templates: bool) -> None:
    """PixelMed over a CAD report: not a word beyond its own progress. templates: it knows those of TID 4000 only."""
    lines = pixelmed.said(pixelmed.REPORT, path)
    needed = ["IOD validation complete"]
    if templates:
        needed += ["Found Root Template TID_4000 (MammographyCADDocumentRoot)", "Root Template Validation Complete"]
    if missing_lines := [line for line in needed if line not in lines]:
        raise Rejected(f"DicomSRValidator {path.name} did not say {missing_lines}: {lines}")
    progress = (r"Found \w+ IOD", *map(re.escape, needed))
    # Without a template for TID 4100 it calls every item of a chest report unknown; relationships it does check.
    unknown = (
        # It spells the heading with two blanks, and asks for failed analyses wherever a detection failed: it evaluates
        # conditions over the whole document.
        r'.*Code \(111025,DCM,"Failed Detections"\) has different code meaning .*',
        r'Error: Template 4016MammoParameters .*"Failed  Analyses"\).*: Missing conditional content item',
    ) if templates else (r"Warning: [\d.]+: .*: Content Item not in template",)
    _judge("DicomSRValidator", path.name, lines, (*progress, *unknown))


def pixelmed_key_objects(path: Path) -> None:
    """PixelMed over a Key Object Selection (TID 2010): not a word beyond its own progress."""
    lines = pixelmed.said(pixelmed.REPORT, path)
    needed = ("Found KeyObjectSelectionDocument IOD", "Found Root Template TID_2010 (KeyObjectSelection)",
              "Root Template Validation Complete", "IOD validation complete")
    if missing_lines := [line for line in needed if line not in lines]:
        raise Rejected(f"DicomSRValidator {path.name} did not say {missing_lines}: {lines}")
    _judge("DicomSRValidator", path.name, lines, tuple(map(re.escape, needed)))


def dcmqi_map(path: Path, folder: Path) -> Callable[[NDArray[np.float64]], float]:
    """A parametric map as dcmqi reads it: a place (LPS millimetres) -> the number there."""
    folder.mkdir(exist_ok=True)
    done = _run(_in_environment("paramap2itkimage"), "--inputDICOM", path, "--outputDirectory", folder,
                "--outputType", "nrrd")
    if done.returncode != 0:
        raise Rejected(f"paramap2itkimage {path.name}: exit code {done.returncode}\n{done.stdout}")
    numbers, vectors, origin = _nrrd(folder / "pmap.nrrd")
    to_index = np.linalg.inv(vectors.T)

    def at(place: NDArray[np.float64]) -> float:
        column, row, level = np.rint(to_index @ (place - origin)).astype(int)
        return float(numbers[level, row, column])

    return at


def dcmpschk(path: Path) -> None:
    """DCMTK's checker of presentation states."""
    done = _run(required("/usr/bin/dcmpschk"), path)
    said = "\n".join(line.strip() for line in (done.stdout + done.stderr).splitlines())
    judged = re.sub(_DCMPSCHK_KNOWS_NO_UTF_8, "", said)
    if "Test passed." not in said and (judged == said or re.search("^(E|F):", judged, re.MULTILINE)):
        raise Rejected(f"dcmpschk {path.name}: {said}")


def pixelmed_segmentation(path: Path, *, placed: bool) -> None:
    """PixelMed over the attributes of a Segmentation; of the other information objects here it knows none.

    placed: whether it has a place in the patient, as those of projection images have not.
    """
    lines = pixelmed.said(pixelmed.OBJECT, path)
    needed = ("Found Segmentation IOD", "IOD validation complete")
    if missing_lines := [line for line in needed if line not in lines]:
        raise Rejected(f"DicomInstanceValidator {path.name} did not say {missing_lines}: {lines}")
    _judge("DicomInstanceValidator", path.name, lines, (
        *map(re.escape, needed), *_ALLOWED_PIXELMED_OBJECT, *(() if placed else _ALLOWED_PIXELMED_PROJECTION),
    ))


def dcmtk_opens(path: Path) -> None:
    """DCMTK decodes the pixels."""
    dcmtk_picture(path, path.with_suffix(".pnm"))


def applicable(path: Path, kind: str) -> dict[str, Callable[[Path], object]]:
    """Every validator that knows objects of that form (a name of `FORMS`): its name -> the check, raising Rejected."""
    placed = "FrameOfReferenceUID" in pydicom.dcmread(path, stop_before_pixels=True)
    known: dict[str, Callable[[Path], object]] = {"dciodvfy": dciodvfy}
    if kind in _REPORTS:
        known["dsrdump"] = dsrdump
        if _REPORTS[kind] is not None:
            known["PixelMed"] = _REPORTS[kind]
    if kind in ("TID1500", "COMPREHENSIVE"):
        known["dcmqi"] = lambda report: dcmqi_report(report, _beside(report))
    if kind in ("SEG", "LABELMAP", "FRACTIONAL") and placed:
        known["dcmqi"] = lambda segmentation: dcmqi_segments(segmentation, _beside(segmentation))
    if kind in ("SEG", "FRACTIONAL"):
        known["PixelMed"] = lambda segmentation: pixelmed_segmentation(segmentation, placed=placed)
    if kind == "PM":
        known["dcmqi"] = lambda numbers: dcmqi_map(numbers, _beside(numbers))
    if kind in ("SC", "IMAGES"):
        known["DCMTK"] = dcmtk_opens
    if kind == "GSPS":
        known["dcmpschk"] = dcmpschk
    return known


def validate(path: Path, kind: str) -> None:
    """Every validator that knows objects of that form has no objection. Raises Rejected with what was said."""
    for judge in applicable(path, kind).values():
        judge(path)


def _beside(path: Path) -> Path:
    """A folder of its own for what a reader writes."""
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    return folder


# PixelMed's check of each kind of report; it knows no template of a report that nothing was processed.
_REPORTS: dict[str, Callable[[Path], None] | None] = {
    "TID1500": pixelmed_report,
    "COMPREHENSIVE": pixelmed_report,
    "OHIF": pixelmed_ohif_report,
    "MAMMOGRAPHY-CAD": lambda path: pixelmed_cad(path, templates=True),
    "CHEST-CAD": lambda path: pixelmed_cad(path, templates=False),
    "KEY-OBJECTS": pixelmed_key_objects,
    "NOT-PROCESSED": None,
}


def poppler_text(path: Path) -> str:
    """The words of a PDF as poppler reads them."""
    done = _run(required("/usr/bin/pdftotext"), "-enc", "UTF-8", path, "-")
    if done.returncode != 0 or done.stderr.strip():
        raise Rejected(f"pdftotext {path.name}: {done.stderr}")
    return done.stdout


def poppler_fonts(path: Path) -> list[tuple[str, bool]]:
    """(name, whether it is embedded) of every font of a PDF."""
    done = _run(required("/usr/bin/pdffonts"), path)
    rows = done.stdout.splitlines()
    if done.returncode != 0 or len(rows) < 3:
        raise Rejected(f"pdffonts {path.name}: {done.stdout} {done.stderr}")
    embedded = rows[0].index("emb")
    return [(row.split()[0], row[embedded : embedded + 3].strip() == "yes") for row in rows[2:]]


def poppler_picture(path: Path, target: Path) -> NDArray[np.uint8]:
    """The first page of a PDF as poppler draws it at 100 dots an inch, uint8 (rows, columns, 3)."""
    done = _run(required("/usr/bin/pdftoppm"), "-r", "100", "-f", "1", "-singlefile", "-png", path, target)
    if done.returncode != 0 or done.stderr.strip():
        raise Rejected(f"pdftoppm {path.name}: {done.stderr}")
    with Image.open(target.with_suffix(".png")) as picture:
        return np.asarray(picture.convert("RGB"))
