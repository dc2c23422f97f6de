"""Which bundles of a checkout of the MONAI Model Zoo run here, unchanged, from DICOM to DICOM: docs/model-zoo.md.

    python tests/bench/model_zoo.py CHECKOUT/models --out docs/model-zoo.md

Weights are not part of the zoo's repository: each network gets random ones, saved as the bundle's own file and loaded
as any weights are. So this shows that a bundle runs, where its answer lies and that the result objects are valid; it
says nothing about how good a model is. Each bundle runs in a process of its own (`radnode models try`) on a phantom.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pydicom.uid import MRImageStorage

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.chest import write_chest  # noqa: E402
from support.node import RADNODE  # noqa: E402
from support.validators import Rejected, validate  # noqa: E402

from radnode.pipelines.results.identity import derived_uid  # noqa: E402

LONGEST_S = 900
SLICES, SIZE, SPACING_MM = 32, 64, 1.5
HEAD = """# Bundles of the MONAI Model Zoo

Each bundle of the zoo, its own files unchanged, with random weights, on a phantom series of {slices} slices of
{size} x {size}: from DICOM through the bundle's own preprocessing, network, inferer and postprocessing to result
objects that passed the gate and the validators. MONAI {monai}, torch {torch}, {date}, CPU. It says nothing about how
good a model is.

Made by `python tests/bench/model_zoo.py CHECKOUT/models --out docs/model-zoo.md`; do not edit.

{runs} of {all} run.

| bundle | version | runs | seconds | what came out, or why not |
|---|---|---|---|---|
"""

_RANDOM_WEIGHTS = """
import sys, torch
from pathlib import Path
from monai.bundle import ConfigParser
from radnode.pipelines.models.adapting import DEVICE, ITEMS, WEIGHTS, adapt
folder = Path(sys.argv[1])
torch.manual_seed(0)
config = next(path for path in sorted((folder / "configs").glob("inference.*")))
text = config.read_text()
if "arch_ckpt" in text:
    import numpy as np
    from monai.networks.nets import TopologySearch
    node, arch, children, _ = TopologySearch(channel_mul=0.5, num_blocks=12, num_depths=4, use_downsample=True,
                                             device="cpu").decode()
    (folder / "models").mkdir(exist_ok=True)
    torch.save({"node_a": np.asarray(node), "arch_code_a": np.asarray(arch), "arch_code_c": np.asarray(children)},
               folder / "models" / "search_code_18590.pt")
sys.path.insert(0, str(folder))
parser = ConfigParser(globals={ITEMS: [{}], DEVICE: torch.device("cpu")})
parser.read_config(adapt(ConfigParser.load_config_file(config), str(folder)))
parser.read_meta(folder / "configs" / "metadata.json")
with torch.serialization.safe_globals([]):
    from radnode.pipelines.models.weights import tensors_and_arrays_only
    with tensors_and_arrays_only():
        for each in parser.get_parsed_content(WEIGHTS):
            path = Path(each["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({key: network.state_dict() for key, network in each["into"].items()}, path)
"""


def main() -> None:
    """Run every bundle and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    rows = []
    for folder in sorted(asked.models.iterdir()):
        if folder.is_dir() and (not asked.only or folder.name in asked.only):
            rows.append(row(folder))
            print(rows[-1], flush=True)
    head = HEAD.format(
        slices=SLICES, size=SIZE, monai=importlib.metadata.version("monai"), torch=importlib.metadata.version("torch"),
        date=datetime.now(UTC).date(), runs=sum("| yes |" in each for each in rows), all=len(rows),
    )
    asked.out.write_text(head + "\n".join(rows) + "\n")


def row(folder: Path) -> str:
    """One line of the table."""
    version = "?"
    with contextlib.suppress(OSError, ValueError):
        version = json.loads((folder / "configs" / "metadata.json").read_text()).get("version", "?")
    with tempfile.TemporaryDirectory() as name:
        came, seconds = attempt(folder, Path(name))
    words = came.removeprefix("no: ").replace("|", "/").replace(name, "…")
    runs = "no" if came.startswith("no: ") else "yes"
    return f"| {folder.name} | {version} | {runs} | {seconds or ''} | {words} |"


def attempt(source: Path, work: Path) -> tuple[str, str]:
    """What came out, or "no: " and why not; and the seconds of the model itself."""
    bundle = work / source.name
    shutil.copytree(source, bundle)
    made = run([sys.executable, "-c", _RANDOM_WEIGHTS, bundle])
    config = work / "radnode.yaml"
    config.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    added = run([RADNODE, "models", "add", bundle, "--name", "zoo", "--config", config])
    if added.returncode:
        return f"no: {last(added.stderr)}", ""
    if made.returncode:
        return f"no: {last(made.stderr)}", ""
    images = work / "images"
    write_chest(images, slices=SLICES, size=SIZE)
    listed = run([RADNODE, "models", "list", "--config", config]).stdout
    adjust(images, as_mr=" MR " in listed)
    several(images, re.findall(r"^reads .*?: \w+, ([\w-]+)", added.stdout, re.MULTILINE))
    tried = run([RADNODE, "models", "try", "zoo", images, "--output", work / "out", "--config", config])
    if tried.returncode:
        return f"no: {last(tried.stderr) or f'ended with {tried.returncode}'}", ""
    seconds = next(word for word in tried.stdout.split(",") if "infer" in word).split()[1]
    return judged(work / "out"), seconds


def judged(out: Path) -> str:
    """The objects that came out, each asked of every validator."""
    said = []
    for path in sorted(out.glob("*.dcm")):
        result = pydicom.dcmread(path)
        kind = "SEG" if "SegmentSequence" in result else "TID1500"
        try:
            validate(path, kind)
        except Rejected as rejected:
            return f"no: {kind}: {rejected}"
        said.append(f"{kind} of {len(result.SegmentSequence)} segments" if kind == "SEG" else kind)
    return ", ".join(said) or "nothing found"


def adjust(folder: Path, *, as_mr: bool) -> None:
    """The phantom made small, since some bundles compute at half a millimetre; and as MR, without Hounsfield units."""
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        image = pydicom.dcmread(path)
        image.PixelSpacing, image.SliceThickness = [SPACING_MM, SPACING_MM], SPACING_MM
        image.ImagePositionPatient = [-40.0, -40.0, number * SPACING_MM]
        if as_mr:
            in_mr(image)
        image.save_as(path)


def several(folder: Path, contents: list[str]) -> None:
    """The same images as a series for each content, called as it is and acquired one after the other."""
    for path in sorted(folder.glob("*.dcm")) if contents else ():
        for number, content in enumerate(contents):
            image = pydicom.dcmread(path)
            # Whatever comes after contrast medium is no native image.
            before = content in ("T1", "native")
            image.AcquisitionDate, image.AcquisitionTime = "20260101", f"{9 if before else 10:02}{number:02}00"
            image.SeriesDescription, image.SeriesInstanceUID = content, derived_uid(image.SeriesInstanceUID, number)
            image.SOPInstanceUID = derived_uid(image.SOPInstanceUID, number)
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(path.with_suffix(f".{number}.dcm"))
        path.unlink()


def in_mr(image: pydicom.Dataset) -> None:
    """The same pixels as an MR image."""
    image.Modality, image.SOPClassUID = "MR", MRImageStorage
    image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType"):
        if keyword in image:
            delattr(image, keyword)


def run(command: list[object]) -> subprocess.CompletedProcess[str]:
    """A process with a time limit; one that runs into it has failed."""
    environment = {**os.environ, "COLUMNS": "400"}
    words = [str(each) for each in command]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"longer than {LONGEST_S} s")


def last(text: str) -> str:
    """The last error in a traceback, or the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return next(reversed(errors or lines), "")[:200]


if __name__ == "__main__":
    main()
