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
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.uid import MRImageStorage, VLMicroscopicImageStorage, VLPhotographicImageStorage

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.chest import write_chest  # noqa: E402
from support.flat_images import write_colour, write_mammograms, write_radiograph  # noqa: E402
from support.node import RADNODE  # noqa: E402
from support.validators import Rejected, validate  # noqa: E402

from radnode.pipelines.registry import installed  # noqa: E402
from radnode.pipelines.results.identity import derived_uid  # noqa: E402

if TYPE_CHECKING:
    from radnode.pipelines.contract import Manifest

LONGEST_S, SEEDS = 900, 4
BESIDES = ("scikit-image", "torchvision", "einops", "timm", "segment-anything", "cellpose", "fastremap",
           "opencv-python-headless")
SLICES, SIZE, SPACING_MM = 32, 64, 1.5
FEW_SLICES, SMALL = 8, 24
CAMERAS = {"GM": VLMicroscopicImageStorage, "XC": VLPhotographicImageStorage}
FORMS = ("SEG", "TID1500", "IMAGES")
HEAD = """# Bundles of the MONAI Model Zoo

Each bundle of the zoo, its own files unchanged, with random weights, on a phantom: {slices} slices of {size} x {size},
or the pictures that it reads; from DICOM through the bundle's own preprocessing, network, inferer and postprocessing to
result objects that passed the gate and the validators. It says nothing about how good a model is: random weights find
something anywhere. Four helps make random answers such that the gate, which is there for real ones, lets them through:
organs of the left side are kept from being found; the last layer of a network of two classes has no mean; of four sets
of weights the first is taken whose answer is not every voxel; a detector reads a smaller phantom.

MONAI {monai}, torch {torch}, {date}, CPU. Installed besides:
{besides}.

Seconds: the step `infer` of one study on a busy machine of two cores, no measurement of speed. Models that make images
out of noise are out of scope: an image that nobody took is nobody's.

Made by `python tests/bench/model_zoo.py CHECKOUT/models --out docs/model-zoo.md`; do not edit.

{runs} of {all} run.

| bundle | version | runs | seconds | what came out, or why not |
|---|---|---|---|---|
"""

_RANDOM_WEIGHTS = """
import json, sys, torch
from pathlib import Path
from monai.bundle import ConfigParser
from radnode.pipelines.models.adapting import DEVICE, ITEMS, WEIGHTS, adapt
from radnode.pipelines.models.own_modules import OwnModules
folder = Path(sys.argv[1])
torch.manual_seed(int(sys.argv[2]))
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

if "sam_vit_b" in text:
    from segment_anything.build_sam import build_sam_vit_b
    (folder / "models").mkdir(exist_ok=True)
    torch.save(build_sam_vit_b().state_dict(), folder / "models" / "sam_vit_b_01ec64.pth")


def unpaired(network):
    # Random weights put left organs anywhere, and the gate holds such an answer back: no left one is ever found. Of
    # two classes they find one everywhere: the last layer begins without a preference.
    said = json.loads((folder / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
    answer = next(iter(said.values()))
    if answer.get("format") == "points":
        # Somewhere in the image: points at its corner mean that there are none.
        count = int(torch.tensor(answer["spatial_shape"]).prod())
        for part in network.modules():
            if isinstance(part, torch.nn.Linear) and part.out_features == count:
                part.bias.data.uniform_(32, 224)
    names = answer.get("channel_def") or {}
    lefts = [int(number) for number, name in names.items() if "left" in str(name).lower()]
    heads = [part for part in network.modules() if isinstance(getattr(part, "bias", None), torch.Tensor)
             and len(part.bias) == len(names)]
    with torch.no_grad():
        if len(names) == 2 and heads and heads[-1].weight.ndim > 2:
            heads[-1].weight -= heads[-1].weight.mean(dim=tuple(range(1, heads[-1].weight.ndim)), keepdim=True)
            heads[-1].bias.zero_()
        if lefts and heads:
            heads[-1].bias[lefts] = -1e6
        for part in network.modules():
            if lefts and isinstance(part, torch.nn.Embedding) and part.num_embeddings >= max(lefts):
                part.weight[[place - 1 for place in lefts]] = 0
                part.weight[[place for place in lefts if place < part.num_embeddings]] = 0


own = OwnModules(folder).active()
own.__enter__()
parser = ConfigParser(globals={ITEMS: [{}], DEVICE: torch.device("cpu")})
parser.read_config(adapt(ConfigParser.load_config_file(config), str(folder)))
parser.read_meta(folder / "configs" / "metadata.json")
with torch.serialization.safe_globals([]):
    from radnode.pipelines.models.weights import tensors_and_arrays_only
    with tensors_and_arrays_only():
        for each in parser.get_parsed_content(WEIGHTS):
            for network in each["into"].values():
                unpaired(network)
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
    rows: list[str] = []
    for folder in sorted(asked.models.iterdir()):
        if folder.is_dir() and (not asked.only or folder.name in asked.only):
            rows.append(row(folder))
            print(rows[-1], flush=True)
            write_page(asked.out, rows)


def write_page(out: Path, rows: list[str]) -> None:
    """Anew after each bundle: some take minutes."""
    head = HEAD.format(
        slices=SLICES, size=SIZE, monai=importlib.metadata.version("monai"), torch=importlib.metadata.version("torch"),
        date=datetime.now(UTC).date(), besides=besides(), runs=sum("| yes |" in each for each in rows), all=len(rows),
    )
    out.write_text(head + "\n".join(rows) + "\n")


def besides() -> str:
    """Packages that some bundles ask for, as far as they are here."""
    found = []
    for name in BESIDES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(found) or "nothing"


def row(folder: Path) -> str:
    """One line of the table."""
    version = "?"
    with contextlib.suppress(OSError, ValueError):
        version = json.loads((folder / "configs" / "metadata.json").read_text()).get("version", "?")
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as name:
            came, seconds = attempt(folder, Path(name), seed)
        # Some random weights see the same everywhere, which the gate holds back.
        if "is every voxel" not in came:
            break
    words = " ".join(came.removeprefix("no: ").replace("|", "/").replace(name, "…").split())
    runs = "no" if came.startswith("no: ") else "yes"
    return f"| {folder.name} | {version} | {runs} | {seconds or ''} | {words} |"


def attempt(source: Path, work: Path, seed: int) -> tuple[str, str]:
    """What came out, or "no: " and why not; and the seconds of the model itself."""
    bundle = work / source.name
    shutil.copytree(source, bundle)
    # Where this fails there are no weights, and what the node says of the bundle is the reason.
    made = run([sys.executable, "-c", _RANDOM_WEIGHTS, bundle, seed])
    if made.returncode:
        print(f"no weights: {last(made.stderr)}", file=sys.stderr, flush=True)
    config = work / "radnode.yaml"
    config.write_text("node:\n  data: data\npeers: {}\nroutes: []\n")
    modality = unsaid(bundle)
    added = run([RADNODE, "models", "add", bundle, "--name", "zoo", "--config", config,
                 *(["--modality", modality] if modality else [])])
    if added.returncode:
        return f"no: {last(added.stderr)}", ""
    images = work / "images"
    write_phantom(images, installed(models=work / "data" / "models").manifests["zoo"], bundle)
    forms = [word for form in FORMS for word in ("--form", form)]
    tried = run([RADNODE, "models", "try", "zoo", images, "--output", work / "out", *forms, "--config", config])
    if tried.returncode:
        return f"no: {last(tried.stderr) or f'ended with {tried.returncode}'}", ""
    seconds = re.findall(r"\binfer ([\d.]+) s", tried.stdout)[-1]
    came = judged(work / "out")
    return f"{came} (added with --modality {modality})" if modality and not came.startswith("no: ") else came, seconds


def judged(out: Path) -> str:
    """The objects that came out, each asked of every validator."""
    said: dict[str, str] = {}
    for path in sorted(out.glob("*.dcm")):
        result = pydicom.dcmread(path)
        kind = "SEG" if "SegmentSequence" in result else "TID1500" if result.Modality == "SR" else "IMAGES"
        try:
            validate(path, kind)
        except Rejected as rejected:
            return f"no: {kind}: {rejected}"
        said[kind] = kind
        if kind == "SEG":
            said[kind] = f"SEG of {counted(len(result.SegmentSequence), 'segment')}"
        elif kind == "TID1500":
            said[kind] = f"TID1500 of {counted(groups(result), 'finding')}"
    return ", ".join(said.values()) or "no: no result object"


def groups(item: pydicom.Dataset) -> int:
    """Measurement groups of a report."""
    name = (item.get("ConceptNameCodeSequence") or [{}])[0].get("CodeValue")
    return (name == "125007") + sum(map(groups, item.get("ContentSequence") or []))


def counted(number: int, what: str) -> str:
    """1 segment, 2 segments."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def unsaid(bundle: Path) -> str:
    """A modality for a bundle that reads grey images and names none; radiographs for one of flat images."""
    said = json.loads((bundle / "configs" / "metadata.json").read_text()).get("network_data_format") or {}
    for each in said.get("inputs", {}).values():
        if each.get("type") == "image" and each.get("num_channels") != 3 and each.get("modality") in (None, "none"):
            return "DX" if len(each.get("spatial_shape") or []) == 2 else "MR"
    return ""


def write_phantom(folder: Path, manifest: Manifest, bundle: Path) -> None:
    """Images of the kind that the model reads."""
    if manifest.reads == "projection":
        (write_mammograms if manifest.modality == "MG" else write_radiograph)(folder)
        enlarge(folder, bundle)
    elif manifest.reads == "colour":
        image = pydicom.dcmread(path := write_colour(folder))
        image.Modality = manifest.modality
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CAMERAS.get(manifest.modality, image.SOPClassUID)
        image.save_as(path)
        enlarge(folder, bundle)
    else:
        slices, size = wanted_size(bundle)
        write_chest(folder, slices=slices, size=size)
        adjust(folder, as_mr=manifest.modality == "MR")
        several(folder, [each.content.value for each in manifest.inputs])


def enlarge(folder: Path, bundle: Path) -> None:
    """The pictures in the size that the network reads, (columns, rows) in the metadata; colours with noise."""
    said = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["inputs"]
    columns, rows = (int(side) for side in next(iter(said.values()))["spatial_shape"])
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array
        down, right = (np.arange(new) * old // new for new, old in zip((rows, columns), pixels.shape, strict=False))
        larger = pixels[down][:, right]
        if larger.dtype == np.uint8:
            larger = larger // 2 + np.random.default_rng(0).integers(0, 128, larger.shape, np.uint8)
        image.Rows, image.Columns, image.PixelData = rows, columns, larger.tobytes()
        image.save_as(path)


def wanted_size(bundle: Path) -> tuple[int, int]:
    """Slices, and rows and columns: those of a network of points, which takes images of one size alone.

    Few for a detector, which finds boxes everywhere with random weights, more than a validator's memory holds.
    """
    said = json.loads((bundle / "configs" / "metadata.json").read_text()).get("network_data_format") or {}
    for each in said.get("outputs", {}).values():
        shapes = [image.get("spatial_shape") or [] for image in said.get("inputs", {}).values()]
        if each.get("format") == "points" and shapes and len(shapes[0]) == 2:
            return FEW_SLICES, int(shapes[0][0])
        if each.get("type") == "object":
            return FEW_SLICES, SMALL
    return SLICES, SIZE


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
    return next(reversed(errors or lines), "")[:300]


if __name__ == "__main__":
    main()
