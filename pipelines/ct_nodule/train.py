"""Trains the network of :mod:`judging` on chests drawn by code. No patient's image is used.

    python -m radnode.pipelines.ct_nodule.train FOLDER

Draws chests into FOLDER, those that are not there yet: half an hour of one core and two gigabytes. Then trains, a
quarter of an hour, and writes judging.safetensors beside this file. Chests of these seeds are measured nowhere.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from radnode.pipelines.ct_lung.lungs import segment_lungs
from radnode.pipelines.ct_nodule.blobs import blobs
from radnode.pipelines.ct_nodule.field import fields
from radnode.pipelines.ct_nodule.judging import SIZE, WEIGHTS, Index, Judge, answers, cubes
from radnode.pipelines.ct_nodule.phantom import nodule_phantom
from radnode.pipelines.geometry import SourceFrame, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.ct_nodule.field import Field
    from radnode.pipelines.ct_nodule.phantom import Nodule, NodulePhantom

FIRST_SEED, CHESTS = 100_000, 56
TUNING_SEED, TUNED_ON = 1000, 14
STEPS, BATCH, FASTEST = 1000, 64, 4e-3
# Cubes are kept larger than they are seen, so that they can be turned and stretched; bytes for these HU.
_KEPT, _LOWEST_HU, _HIGHEST_HU = 40, -1000.0, 200.0
_NEGATIVES = 180  # of a chest
_NEAR_MM = 4.0  # around a nodule: neither on it nor beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """cubes: (n, 40, 40, 40), bytes. nodule: (n,), whether there is one in the middle."""

    cubes: NDArray[np.uint8]
    nodule: NDArray[np.bool_]


def drawn(seed: int) -> NodulePhantom:
    """A chest with sixteen nodules to learn from, of a scanner that differs from seed to seed."""
    rng = np.random.default_rng(seed)
    return nodule_phantom(seed=seed, slices=round(320 / rng.uniform(1.2, 3.0)), size=int(rng.integers(240, 420)),
                          count=16, noise_hu=float(rng.uniform(10, 60)))


def candidates(phantom: NodulePhantom) -> Iterator[tuple[Field, list[Index], NDArray[np.bool_]]]:
    """Each lung, places in it that are judged, and whether there is a nodule; without those beside a nodule."""
    volume = _volume(phantom)
    for field in fields(volume, segment_lungs(volume, "cpu", lambda _stage: None), "cpu"):
        places = [each.index for each in blobs(field, "cpu")]
        beyond = [_beyond(phantom.nodules, point) for point in field.grid.points(np.array(places))]
        kept = [number for number, each in enumerate(beyond) if not 0 < each < _NEAR_MM]
        yield field, [places[number] for number in kept], np.array([beyond[number] <= 0 for number in kept])


def examples_of(seed: int) -> Examples:
    """The candidates of a chest that lie on nodules, and as many of the others as are kept."""
    found, truth = [], []
    for field, places, on in candidates(drawn(seed)):
        hu = cubes(field, places, _KEPT)
        found.append(np.rint((hu.clip(_LOWEST_HU, _HIGHEST_HU) - _LOWEST_HU) * 255
                             / (_HIGHEST_HU - _LOWEST_HU)).astype(np.uint8))
        truth.append(on)
    nodule = np.concatenate(truth)
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~nodule))[:_NEGATIVES]
    chosen = np.sort(np.concatenate([np.flatnonzero(nodule), others]))
    return Examples(cubes=np.concatenate(found)[chosen], nodule=nodule[chosen])


def examples(seeds: Iterable[int], folder: Path) -> Examples:
    """Of all these chests, through files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    read = []
    for seed in seeds:
        path = folder / f"{seed}.npz"
        if not path.exists():
            one, part = examples_of(seed), path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, cubes=one.cubes, nodule=one.nodule)
            part.rename(path)
            print(f"{seed}: {int(one.nodule.sum())} of {len(one.nodule)} on nodules", flush=True)
        read.append(np.load(path))
    return Examples(cubes=np.concatenate([each["cubes"] for each in read]),
                    nodule=np.concatenate([each["nodule"] for each in read]))


def train(given: Examples) -> Judge:
    """A network; mistakes are shown again more often than what is known."""
    torch.manual_seed(FIRST_SEED)
    rng = np.random.default_rng(FIRST_SEED)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=FASTEST, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, FASTEST, total_steps=STEPS)
    on, off = np.flatnonzero(given.nodule), np.flatnonzero(~given.nodule)
    doubt = np.ones(len(off))
    losses: list[float] = []
    for step in range(1, STEPS + 1):
        shown = rng.choice(len(off), BATCH * 5 // 8, replace=False, p=doubt / doubt.sum())
        chosen = np.concatenate([rng.choice(on, BATCH - len(shown)), off[shown]])
        answer = judge(_varied(given.cubes[chosen]))
        loss = functional.binary_cross_entropy_with_logits(answer, torch.from_numpy(given.nodule[chosen]).float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        doubt[shown] = torch.sigmoid(answer.detach()[-len(shown):]).numpy() + 0.03
        losses.append(float(loss.detach()))
        if step % 100 == 0:
            print(f"step {step}: loss {np.mean(losses[-100:]):.3f}", flush=True)
    return judge.eval()


def calibrate(judge: Judge, seeds: Iterable[int]) -> None:
    """Scale and shift the log-odds to those of the candidates of these chests, drawn as the bench draws its own."""
    judged = [(answers(judge, field, places, "cpu"), on)
              for seed in seeds
              for field, places, on in candidates(nodule_phantom(seed=seed, slices=160, size=300, count=8))]
    answer = torch.cat([each for each, _ in judged]).clone()
    truth = torch.from_numpy(np.concatenate([on for _, on in judged])).float()
    scale, shift = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(scale * answer + shift, truth)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        judge.last.weight *= scale
        judge.last.bias.mul_(scale).add_(shift)


def _varied(kept: NDArray[np.uint8]) -> torch.Tensor:
    """Turned, mirrored, stretched, moved; denser, thinner, noisier. Returns HU."""
    hu, count = _hu(kept), len(kept)
    turn = torch.linalg.matrix_exp(_skew(0.25 * torch.randn(count, 3)))
    axes = list(itertools.permutations(range(3)))
    swap = torch.stack([torch.eye(3)[list(axes[int(each)])] for each in torch.randint(len(axes), (count,))])
    mirror = torch.diag_embed(torch.randint(2, (count, 3)) * 2.0 - 1)
    stretch = torch.diag_embed(torch.exp(0.1 * torch.randn(count, 3)))
    matrix = turn @ swap @ mirror @ stretch * (SIZE / _KEPT)
    # A place of an even cube lies half a voxel beside its middle.
    shift = (1 + 1.5 * torch.randn(count, 3)) / _KEPT
    places = functional.affine_grid(torch.cat([matrix, shift[..., None]], 2), [count, 1, SIZE, SIZE, SIZE],
                                    align_corners=False)
    hu = functional.grid_sample(hu[:, None], places, padding_mode="border", align_corners=False)[:, 0]
    each = (count, 1, 1, 1)
    hu = -850 + (hu + 850) * (1 + 0.1 * torch.randn(each)) + 20 * torch.randn(each)
    return hu + torch.randn(hu.shape) * (40 * torch.rand(each) * (torch.rand(each) < 0.5))


def _skew(of: torch.Tensor) -> torch.Tensor:
    a, b, c = of.unbind(1)
    none = torch.zeros_like(a)
    return torch.stack([none, -c, b, c, none, -a, -b, a, none], 1).reshape(-1, 3, 3)


def _hu(kept: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(kept).float() * ((_HIGHEST_HU - _LOWEST_HU) / 255) + _LOWEST_HU


def _beyond(nodules: Sequence[Nodule], point: NDArray[np.float64]) -> float:
    """Millimetres from the border of the nearest nodule; below 0 on it."""
    return min((float(np.linalg.norm(point - each.center_lps)) - max(each.diameter_mm / 2, 3.0) for each in nodules),
               default=np.inf)


def _volume(phantom: NodulePhantom) -> Volume:
    voxels = phantom.chest.hu.astype(np.float32)
    frames = tuple(SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"2.25.{place + 10}")
                   for place in range(len(voxels)))
    return Volume(voxels=voxels, affine=phantom.chest.affine, valid=np.ones(voxels.shape, np.bool_), frames=frames,
                  series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2")


def main() -> None:
    """Draw, train, write."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    folder = arguments.parse_args().folder
    judge = train(examples(range(FIRST_SEED, FIRST_SEED + CHESTS), folder))
    calibrate(judge, range(TUNING_SEED, TUNING_SEED + TUNED_ON))
    save_file({name: each.contiguous() for name, each in judge.state_dict().items()}, WEIGHTS)
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
