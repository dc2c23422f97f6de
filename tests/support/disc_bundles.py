"""A classifier of two findings at once, a bright disc on the left and one on the right, with weights set by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from support import bundles, flat_bundles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS, COLUMNS, RADIUS = 48, 90, 7.0
SEEN = [60, 20]
"""(columns, rows) to which the bundle resizes what it reads: other proportions than the image's."""
LABELS = {"0": "Mass", "1": "Effusion"}
"""On the left of the picture, on its right."""

# Where a column lies is an input of its own: a mean over the picture knows no left and right.
NETWORK = """\
import torch

class Discs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 1), torch.nn.ReLU(inplace=True),
            torch.nn.Conv2d(3, 2, 1), torch.nn.ReLU(inplace=True))
        self.head = torch.nn.Linear(2, 2)

    def forward(self, x):
        across = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)[:, None].expand(x.shape[2:])
        seen = torch.cat([x, across.expand(x.shape[0], 1, -1, -1)], dim=1)
        return self.head(self.features(seen).mean(dim=(2, 3)))
"""


def network() -> torch.nn.Module:
    """As the bundle has it, with random weights."""
    module: dict[str, Any] = {}
    exec(NETWORK, module)  # noqa: S102 - the text above
    made: torch.nn.Module = module["Discs"]()
    return made


def picture(*centres: tuple[float, float], seed: int = 0) -> NDArray[np.uint8]:
    """Grey (ROWS, COLUMNS), with discs around (row, column)."""
    grey = np.random.default_rng(seed).integers(60, 90, (ROWS, COLUMNS)).astype(np.uint8)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    for row, column in centres:
        grey[(y - row) ** 2 + (x - column) ** 2 <= RADIUS**2] = 220
    return grey


def weights() -> dict[str, torch.Tensor]:
    """What is bright, what is on the right, what is on the left; then what is bright on the left, and on the right."""
    return {
        "features.0.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).reshape(3, 2, 1, 1),
        "features.0.bias": torch.tensor([-0.6, 0.0, 0.0]),
        "features.2.weight": torch.tensor([[1.0, -10.0, 0.0], [1.0, 0.0, -10.0]]).reshape(2, 3, 1, 1),
        "features.2.bias": torch.zeros(2),
        "head.weight": torch.eye(2) * 2000, "head.bias": torch.full((2,), -6.0),
    }


def bundle(folder: Path, *, modality: str = "DX", flip: bool = False) -> Path:
    """Its folder. flip: it turns each picture over, left to right and top to bottom, and back into place."""
    config = flat_bundles.inference(1, "classes", None)
    config["network_def"] = {"_target_": "scripts.net.Discs"}
    transforms = config["preprocessing"]["transforms"]
    flips = [{"_target_": "Flipd", "keys": "@image_key", "spatial_axis": 1}] if flip else []
    transforms[2:2] = [{"_target_": "Resized", "keys": ["@image_key"], "spatial_size": SEEN, "mode": ["area"]}, *flips]
    config["postprocessing"]["transforms"] = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]
    said = flat_bundles.metadata(1, "classes", modality)
    said["name"], said["task"] = "Chest discs", "Findings of the chest"
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = LABELS
    return bundles.write_bundle(folder, config=config, network=NETWORK, said=said, state=weights())
