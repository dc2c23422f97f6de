"""How much a place in a lung looks like a nodule: a small network that sees a cube of 32 mm around it.

Its weights are of :mod:`train`, from chests drawn by code.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.ct_nodule.field import Field

Index: TypeAlias = tuple[float, float, float]
WEIGHTS = Path(__file__).with_name("judging.safetensors")
SIZE = 32
_LUNG_HU = -850.0
# Two windows: bones to air, and lung with ground glass. Each with the HU that becomes 1.
_WINDOWS = ((-1000.0, 200.0, 400.0), (-1000.0, -500.0, 150.0))
_CHANNELS = (2, 8, 16, 24, 24)
_BATCH = 64
# Log-odds of a first look, after which no other can make a mark of it.
_RULED_OUT = -6.0


class Judge(nn.Module):
    """(n, :data:`SIZE`, :data:`SIZE`, :data:`SIZE`) HU on a grid of 1 mm to (n,) log-odds that a nodule is in the
    middle.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(
            nn.Sequential(nn.Conv3d(one, other, 3, padding=1, bias=False),
                          nn.MaxPool3d(2) if number < len(_CHANNELS) - 2 else nn.Identity(), nn.BatchNorm3d(other),
                          nn.ReLU())
            for number, (one, other) in enumerate(pairwise(_CHANNELS))
        ))
        self.last = nn.Linear(2 * _CHANNELS[-1], 1)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        """The log-odds."""
        seen = torch.stack([(hu.clamp(low, high) - _LUNG_HU) / one for low, high, one in _WINDOWS], 1)
        seen = self.layers(seen.contiguous(memory_format=torch.channels_last_3d))
        middle = seen[(..., *(slice(size // 2 - 1, size // 2 + 1) for size in seen.shape[2:]))]
        answer: torch.Tensor = self.last(torch.cat([seen.mean((2, 3, 4)), middle.mean((2, 3, 4))], 1))
        return answer[:, 0]


def cubes(field: Field, indices: Sequence[Index], size: int = SIZE) -> NDArray[np.float32]:
    """(n, size, size, size) HU around places of a field; beyond it the nearest value."""
    half = size // 2
    padded = np.pad(field.hu, half, mode="edge")
    found = np.empty((len(indices), size, size, size), np.float32)
    for number, index in enumerate(indices):
        low = np.clip(np.rint(index).astype(int), 0, np.array(field.hu.shape) - 1)
        found[number] = padded[tuple(slice(at, at + size) for at in low)]
    return found


def answers(judge: Judge, field: Field, indices: Sequence[Index], device: str) -> torch.Tensor:
    """(n,) log-odds that there is a nodule, of each place of a field: the mean of all views, where the first one does
    not rule it out.
    """
    said = [torch.zeros(0, device=device)]
    for first in range(0, len(indices), _BATCH):
        hu = torch.from_numpy(cubes(field, indices[first : first + _BATCH], SIZE + 1)).to(device)
        with torch.inference_mode():
            one = judge(hu[:, :SIZE, :SIZE, :SIZE])
            open_ones = one > _RULED_OUT
            if open_ones.any():
                one[open_ones] = torch.stack([judge(each) for each in _views(hu[open_ones])]).mean(0)
            said.append(one)
    return torch.cat(said)


def _views(hu: torch.Tensor) -> Iterator[torch.Tensor]:
    """Cubes mirrored along each axis, and turned. hu: one voxel larger, so that what is in the middle stays there."""
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        for count in range(4):
            for mirrored in combinations((1, 2, 3), count):
                yield hu.permute(order).flip(mirrored)[:, :SIZE, :SIZE, :SIZE]


def probabilities(field: Field, indices: Sequence[Index], device: str) -> list[float]:
    """That there is a nodule, of each place of a field."""
    said: list[float] = torch.sigmoid(answers(_judge(device), field, indices, device)).tolist()
    return said


@lru_cache(maxsize=2)
def _judge(device: str) -> Judge:
    judge = Judge()
    judge.load_state_dict(load_file(WEIGHTS))
    return judge.eval().to(device)
