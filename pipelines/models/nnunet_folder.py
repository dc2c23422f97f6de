"""A results folder of nnU-Net v2 (plans.json, dataset.json, fold_X/checkpoint_final.pth) read as data, without torch.

nnU-Net does not record in which orientation its training images lay, nor licence or intended use; a `model.yaml` beside
plans.json says them. Without it only a folder whose plans turn every image to RAS can be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.pipelines.models import json_file, model_file
from radnode.pipelines.models.model_file import Input, ModelFile
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

PLANS, DATASET, CHECKPOINT = "plans.json", "dataset.json", "checkpoint_final.pth"
_TURNS_TO_RAS = "NibabelIOWithReorient"
_MR = ("mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "adc", "dwi", "pd")


def is_results(folder: Path) -> bool:
    """Whether nnU-Net trained what lies here."""
    return (folder / PLANS).is_file() and (folder / DATASET).is_file()


def read(folder: Path) -> ModelFile:
    """What is said in model.yaml, or else what can be known without it. Raises StoreError."""
    if (folder / model_file.FILE).is_file():
        return model_file.read(folder)
    dataset, plans = content(folder, DATASET), content(folder, PLANS)
    channels = dataset.get("channel_names") or dataset.get("modality") or {}
    first = str(next(iter(channels.values()), "")).lower()
    modality = "CT" if first == "ct" else "MR" if first in _MR else ""
    if not modality or plans.get("image_reader_writer") != _TURNS_TO_RAS:
        raise StoreError(
            f"{folder.name}: nnU-Net did not write down which modality it reads or in which orientation its training "
            f"images lay; say it in a {model_file.FILE} beside {PLANS}: name, version, runtime: nnunet, modality, "
            "input: {orientation: RAS}, licence, intended_use"
        )
    return ModelFile(
        name=str(dataset.get("name") or plans.get("dataset_name") or folder.name), version="0.0.0", runtime="nnunet",
        modality=modality, input=Input(orientation="RAS"),
        licence=str(dataset.get("licence") or dataset.get("license") or "not stated"),
        intended_use="Not stated by its authors; research only.",
    )


def checkpoints(folder: Path) -> list[Path]:
    """The weights of every fold; of `fold_all` if there is no other. Raises StoreError without any."""
    found = sorted(path for path in folder.glob(f"fold_*/{CHECKPOINT}") if path.parent.name[5:].isdigit())
    found = found or sorted(folder.glob(f"fold_all/{CHECKPOINT}"))
    if not found:
        raise StoreError(f"{folder.name}: no fold_X/{CHECKPOINT} is in its folder; bring the weights of at least one "
                         "fold and add it anew")
    return found


def content(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of the folder. Raises StoreError."""
    cure = "bring the whole results folder of nnU-Net: plans.json, dataset.json, fold_X"
    return json_file.read(folder, name, cure=cure)
