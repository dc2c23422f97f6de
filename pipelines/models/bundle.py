"""A MONAI bundle as a pipeline: its own preprocessing, network, inferer and postprocessing, unchanged, kept warm.

What is run is the bundle's own evaluator on one image in memory, so also one that the bundle brings itself.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from monai.bundle.config_parser import ConfigParser

from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.models import answers, description, grids
from radnode.pipelines.models.adapting import DEVICE, ITEMS, START_UP, WEIGHTS, adapt
from radnode.pipelines.models.own_modules import OwnModules
from radnode.pipelines.models.weights import load_weights, tensors_and_arrays_only

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings

_CONFIGURATIONS = ("inference.json", "inference.yaml", "inference.yml")


class BundlePipeline:
    """One bundle. Construction reads its configuration and loads its weights, on the device of the first run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = description.metadata(folder)
        self._reads = description.images_read(folder, self._said)
        self._own = OwnModules(folder)
        self._items: list[dict[str, Any]] = [{}]  # an engine counts once, when it is made, what an epoch holds
        self._evaluator: Any = None
        self._output: Any = None
        self._device = ""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the bundle and what is wrong with it."""
        name, output = self._segmentation()
        with self._own.active():
            if self._evaluator is None or self._device != context.device:
                context.stage("loading")
                self._open(context.device)
            context.stage("running the bundle")
            answer = self._evaluate(self._item(images)).get(name)
        if answer is None:
            raise RunFailed(f"bundle {self._folder.name} gave no answer named {name!a}")
        context.stage("reading its answer")
        return answers.segments(answer, output, images.volume)

    def _segmentation(self) -> tuple[str, dict[str, Any]]:
        outputs = description.outputs(self._said)
        for name, output in outputs.items():
            if output.get("format") in ("segmentation", "labels") and output.get("type") == "image":
                return name, output
        kinds = ", ".join(f"{each.get('type')}/{each.get('format')}" for each in outputs.values()) or "none"
        raise NotProcessed(f"bundle {self._folder.name} gives {kinds}; readable are segmentations")

    def _item(self, images: StudyImages) -> dict[str, Any]:
        """What the bundle's data set would hold: each image under its key, channels of one key stacked."""
        volumes = dict(images.others)
        if self._reads.inputs:
            volumes[self._reads.inputs[0].name] = images.volume
        if missing := [each.name for each in self._reads.inputs if each.name not in volumes]:
            raise RunFailed(f"bundle {self._folder.name} reads {', '.join(missing)} as well; it got one series")
        return {key: grids.to_monai(*[volumes[name] for name in names] or [images.volume])
                for key, names in self._reads.keys.items()}

    def _open(self, device: str) -> None:
        folder = self._folder
        paths = (folder / "configs" / name for name in _CONFIGURATIONS)
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise RunFailed(f"bundle {folder.name} has no configs/inference.json or inference.yaml")
        self._device = device
        parser = ConfigParser(globals={ITEMS: self._items, DEVICE: torch.device(device)})
        parser.read_config(adapt(ConfigParser.load_config_file(path), str(folder)))
        parser.read_meta(self._said)
        try:
            with tensors_and_arrays_only():
                parser.get_parsed_content(START_UP)
                evaluator = parser.get_parsed_content("evaluator")
                for each in parser.get_parsed_content(WEIGHTS):
                    load_weights(folder, Path(each["path"]), each["into"], strict=bool(each["strict"]))
        except (ImportError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunFailed(f"bundle {folder.name} cannot be opened: {_innermost(error)}") from error
        evaluator.logger.setLevel(logging.WARNING)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._keep_output)
        self._evaluator = evaluator

    def _evaluate(self, item: dict[str, Any]) -> dict[str, Any]:
        self._items[:] = [item]
        try:
            with torch.inference_mode():
                self._evaluator.run()
            output = self._output
        except (KeyError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            raise RunFailed(f"bundle {self._folder.name} failed on these images: {_innermost(error)}") from error
        finally:
            self._items[:] = [{}]
            self._output = None
        return dict(output[0] if isinstance(output, list) else output)

    def _keep_output(self, evaluator: Any) -> None:
        """An engine forgets its output when a run ends."""
        self._output = evaluator.state.output


def _innermost(error: BaseException) -> str:
    """The first cause, in one line: MONAI wraps what a component said into the names of its parents."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
