"""Weights of a bundle into its networks; nothing but tensors is unpickled (torch `weights_only`, safetensors)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


def load_weights(folder: Path, path: Path, into: Mapping[str, torch.nn.Module], *, strict: bool) -> None:
    """What CheckpointLoader does at every run, once: the weights in the file, by key, into the networks.

    A file of the same name that ends in `.safetensors` is preferred. Raises RunFailed for weights that are missing,
    unsafe or of another network.
    """
    content = _read(folder, path)
    for key, network in into.items():
        weights = content.get(key, content) if isinstance(content.get(key, content), dict) else content
        try:
            network.load_state_dict(weights, strict=strict)
        except (RuntimeError, AttributeError) as error:
            first = " ".join(str(error).split())[:200]
            raise RunFailed(
                f"bundle {folder.name}: {path.name} holds the weights of another network ({first})"
            ) from error


def tensors_and_arrays_only() -> AbstractContextManager[None]:
    """Within, `torch.load` reads numpy arrays beside tensors, as searched architectures (DiNTS) keep them; no more."""
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
    multiarray: Any = importlib.import_module("numpy._core.multiarray")  # where arrays are rebuilt
    return torch.serialization.safe_globals(
        [np.ndarray, np.dtype, *kinds, multiarray._reconstruct, multiarray.scalar,
         (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
         (multiarray.scalar, "numpy.core.multiarray.scalar")]
    )


def _read(folder: Path, path: Path) -> dict[str, Any]:
    safe = path.with_suffix(".safetensors")
    if safe.is_file():
        return dict(load_file(safe))
    if not path.is_file():
        raise RunFailed(f"bundle {folder.name} has no weights: {path.name} is not in its folder {path.parent.name}/; "
                        "download them with the bundle and add it anew")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle.UnpicklingError and much else for what it will not read
        raise RunFailed(f"bundle {folder.name}: {path.name} holds more than weights, or is damaged "
                        f"({type(error).__name__}); save its state_dict as safetensors") from error
    if not isinstance(content, dict):
        raise RunFailed(f"bundle {folder.name}: {path.name} holds no weights by name")
    return content
