"""What a worker on this machine would find, as JSON: `python -m radnode.pipelines.checkup MODEL_STORE [compile]`.

A process of its own, as a pipeline is code and torch takes seconds to import. With the second word, networks that are
to be compiled are, which takes minutes.

    refused   name -> why the pipeline cannot be used
    networks  name -> how its network computes, where that can be told
    pinned    models whose files are those that were added
    cuda      the names of the devices that torch sees
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from radnode.pipelines import isolation, registry
from radnode.pipelines.contract import RunFailed, TellsOfItsNetwork


def look(models: Path, *, compiles: bool = False) -> dict[str, Any]:
    """Load every pipeline once, its network too; a broken one says so and harms no other."""
    found = registry.installed(models=models)
    if not compiles:
        found = replace(found, pins={name: replace(pin, compiled=False) for name, pin in found.pins.items()})
    refused = dict(found.refused)
    networks: dict[str, dict[str, str]] = {}
    for name in found.manifests:
        try:
            pipeline = registry.load(found, name)
            if load := getattr(pipeline, "load", None):
                load("cpu")
            if isinstance(pipeline, TellsOfItsNetwork):
                networks[name] = dict(pipeline.network())
        except RunFailed as error:
            refused[name] = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code, and its reason is the answer
            refused[name] = f"{type(error).__name__}: {error}"
    return {
        "refused": refused,
        "networks": networks,
        "pinned": [name for name in found.pins if name not in refused],
        "cuda": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
    }


def main() -> None:
    """Everything that libraries print goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        isolation.isolate()
        answer = look(Path(sys.argv[1]), compiles="compile" in sys.argv[2:])
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
