"""Trains the network of this bundle on chests drawn by code, and measures it on chests that it has not seen.

    python train.py              a few minutes on two cores: weights, then their Dice into docs/README.md
    python train.py --measure    the Dice of the weights that are there

The same seed draws the same chests. No patient's image is used.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.bundle.config_parser import ConfigParser
from monai.data.meta_tensor import MetaTensor
from monai.losses.dice import DiceCELoss
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import RandSpatialCropd, SpatialPadd
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandGaussianNoised,
    RandShiftIntensityd,
    ScaleIntensityRanged,
)
from monai.transforms.spatial.dictionary import Orientationd, Spacingd
from monai.transforms.utility.dictionary import EnsureChannelFirstd
from monai.utils.misc import set_determinism
from safetensors.torch import save_file

from radnode.pipelines.contract import RunContext, StudyImages
from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.grids import ras_affine, to_monai

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
SEED = 20260102
CHESTS, STEPS, BATCH, WINDOW, FASTEST = 40, 400, 2, (80, 80, 64), 4e-3
RIGHT, LEFT = 1, 2
# Columns: the directions in which slice, row and column grow, in LPS.
PLANES = {
    "axial": np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]),
    "coronal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "sagittal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a chest is drawn and scanned.

    spacing_mm: between slices, between pixels. length_mm: of the stack. size: of the patient along L, P and S, as a
    multiple of the phantom's. turned_degrees: how the patient lies, about each axis. noise_hu: on top of the phantom's.
    """

    plane: str = "axial"
    spacing_mm: tuple[float, float] = (4.0, 3.0)
    length_mm: float = 330.0
    size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    turned_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise_hu: float = 0.0
    reversed: bool = False
    seed: int = 0


def draw(how: Drawing) -> tuple[Volume, NDArray[np.uint8]]:
    """The images, as a pipeline gets them, and the truth on their grid: 1 right lung, 2 left lung."""
    slice_mm, pixel_mm = how.spacing_mm
    turn = _turned(how.turned_degrees)
    axes = PLANES[how.plane] * np.array([-1.0 if how.reversed else 1.0, 1.0, 1.0])
    phantom = chest_phantom(slices=round(how.length_mm / slice_mm), size=round(380 / pixel_mm),
                            spacing_mm=how.spacing_mm, seed=how.seed, axes=turn @ axes)
    lies = np.eye(4)
    lies[:3, :3] = np.diag(how.size) @ turn.T
    noise = np.random.default_rng(how.seed).normal(0, how.noise_hu, phantom.hu.shape)
    voxels = np.clip(phantom.hu + noise, -1024, 3071).astype(np.float32)
    volume = Volume(
        voxels=voxels, affine=lies @ phantom.affine, valid=np.ones(voxels.shape, np.bool_),
        frames=tuple(SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"2.25.{place + 10}")
                     for place in range(len(voxels))),
        series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2",
    )
    truth = RIGHT * phantom.right_mask.astype(np.uint8) + LEFT * phantom.left_mask.astype(np.uint8)
    return volume, truth


def training_drawings(count: int) -> list[Drawing]:
    """Chests of every size and shape, in every plane, some cut off, some noisy."""
    rng = np.random.default_rng(SEED)
    return [
        Drawing(
            plane=str(rng.choice(list(PLANES))), spacing_mm=(float(rng.uniform(2.5, 6)), float(rng.uniform(2.5, 4))),
            length_mm=float(rng.uniform(260, 380)), turned_degrees=tuple(rng.uniform(-10, 10, 3)),
            size=tuple(rng.uniform(0.8, 1.2, 3)), noise_hu=float(rng.uniform(0, 50)), reversed=bool(rng.integers(2)),
            seed=int(rng.integers(1, 2**31)),
        )
        for _ in range(count)
    ]


HELD_OUT = {
    "axial, 4 mm": Drawing(seed=901),
    "axial, thick slices of 8 mm": Drawing(spacing_mm=(8.0, 2.0), seed=902),
    "axial, thin slices of 2 mm": Drawing(spacing_mm=(2.0, 2.0), seed=903),
    "axial, feet first": Drawing(reversed=True, seed=904),
    "coronal": Drawing(plane="coronal", spacing_mm=(3.0, 2.5), seed=905),
    "sagittal": Drawing(plane="sagittal", spacing_mm=(5.0, 2.5), length_mm=380, seed=906),
    "a small patient": Drawing(size=(0.82, 0.82, 0.82), seed=907),
    "a large patient": Drawing(size=(1.18, 1.15, 1.18), seed=908),
    "narrow and deep": Drawing(size=(0.85, 1.15, 1.0), seed=909),
    "turned by 9 degrees": Drawing(turned_degrees=(9.0, -9.0, 9.0), seed=910),
    "noise of 60 HU": Drawing(noise_hu=60.0, seed=911),
    "noise of 60 HU, small, coronal, turned": Drawing(plane="coronal", noise_hu=60.0, size=(0.85, 0.9, 0.85),
                                                      turned_degrees=(-6.0, 6.0, -6.0), seed=912),
}


def train() -> None:
    """Write models/model.safetensors."""
    began = time.monotonic()
    set_determinism(SEED)
    parser = ConfigParser(ConfigParser.load_config_file(HERE / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def")
    prepare = _preparation(parser)
    chests = [prepare(_item(*draw(how))) for how in training_drawings(CHESTS)]
    print(f"{len(chests)} chests drawn in {time.monotonic() - began:.0f} s", flush=True)
    window = _augmentation()
    loss = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=FASTEST)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, FASTEST, total_steps=STEPS)
    rng, losses = np.random.default_rng(SEED), []
    for step in range(1, STEPS + 1):
        items = [window(chests[each]) for each in rng.choice(len(chests), BATCH, replace=False)]
        image, label = (torch.stack([each[key].as_tensor() for each in items]) for key in ("image", "label"))
        optimizer.zero_grad()
        value = loss(network(image), label)
        value.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(value.detach()))
        if step % 50 == 0:
            print(f"step {step}: loss {np.mean(losses[-50:]):.3f}, {time.monotonic() - began:.0f} s", flush=True)
    path = HERE / "models" / "model.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    print(f"{path.name}: {path.stat().st_size} bytes")


def measure() -> list[tuple[str, float, float]]:
    """Dice of the right and of the left lung on chests that were not trained on, on the grid of their images."""
    pipeline = BundlePipeline(HERE)
    context = RunContext(device="cpu", stage=lambda _: None)
    rows = []
    for name, how in HELD_OUT.items():
        volume, truth = draw(how)
        found = pipeline.run(StudyImages(volume=volume, modality="CT", excluded={}), context)
        masks = {segment.label: segment.mask for segment in found.segments}
        nobody = np.zeros(truth.shape, np.bool_)
        right, left = (_dice(masks.get(label, nobody), truth == value)
                       for label, value in (("right lung", RIGHT), ("left lung", LEFT)))
        rows.append((name, right, left))
        print(f"{name}: right {right:.3f}, left {left:.3f}", flush=True)
    return rows


def say(rows: list[tuple[str, float, float]]) -> None:
    """Put the numbers into docs/README.md and configs/metadata.json."""
    lowest = min(min(right, left) for _, right, left in rows)
    mean = float(np.mean([(right + left) / 2 for _, right, left in rows]))
    table = ["| chest | Dice right | Dice left |", "|---|---|---|",
             *(f"| {name} | {right:.3f} | {left:.3f} |" for name, right, left in rows), "",
             f"Mean {mean:.3f}, lowest {lowest:.3f}."]
    readme = HERE / "docs" / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = "<!-- measured by train.py -->\n", "<!-- end -->"
    made = f"{begin}{chr(10).join(table)}\n{end}"
    readme.write_text(re.sub(f"{begin}.*?{end}", lambda _: made, text, flags=re.DOTALL), encoding="utf-8")
    path = HERE / "configs" / "metadata.json"
    said = re.sub(r'"eval_metrics": \{[^}]*\}', f'"eval_metrics": {{"mean_dice": {mean:.3f}}}', path.read_text("utf-8"))
    json.loads(said)
    path.write_text(said, encoding="utf-8")


def _preparation(parser: ConfigParser) -> Compose:
    """The preprocessing of inference.json, for the truth as well."""
    steps = {each["_target_"]: each for each in parser.get("preprocessing")["transforms"]}
    turn, space, scale = (steps[name] for name in ("Orientationd", "Spacingd", "ScaleIntensityRanged"))
    both = ("image", "label")
    return Compose([
        EnsureChannelFirstd(both),
        Orientationd(both, axcodes=turn["axcodes"], labels=turn["labels"]),
        Spacingd(both, pixdim=space["pixdim"], mode=(space["mode"], "nearest")),
        ScaleIntensityRanged("image", scale["a_min"], scale["a_max"], scale["b_min"], scale["b_max"], clip=True),
        SpatialPadd(both, WINDOW),
    ])


def _augmentation() -> Compose:
    """A window anywhere in the chest, and scanners that are not alike. Never mirrored: the sides would be lost."""
    return Compose([
        RandSpatialCropd(("image", "label"), WINDOW, random_size=False),
        RandGaussianNoised("image", prob=0.5, std=0.03),
        RandShiftIntensityd("image", offsets=0.03, prob=0.5),
        RandAdjustContrastd("image", prob=0.3, gamma=(0.8, 1.25)),
    ])


def _item(volume: Volume, truth: NDArray[np.uint8]) -> dict[str, MetaTensor]:
    label = MetaTensor(torch.from_numpy(truth.transpose(2, 1, 0).copy()), affine=torch.from_numpy(ras_affine(volume)),
                       meta={"original_channel_dim": "no_channel"}, spatial_ndim=3)
    return {"image": to_monai(volume), "label": label}


def _turned(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        first, second = [(1, 2), (2, 0), (0, 1)][axis]
        about = np.eye(3)
        about[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
        turn = turn @ about
    return turn


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / max(1, int(one.sum() + other.sum()))


def main() -> None:
    """As the command line says."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--measure", action="store_true", help="measure the weights that are there")
    if not arguments.parse_args().measure:
        train()
    say(measure())


if __name__ == "__main__":
    main()
