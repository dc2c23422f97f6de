"""A MONAI bundle as a pipeline: its own preprocessing, network, inferer and postprocessing, unchanged, kept warm.

What is run is the bundle's own evaluator on one image in memory, so also one that the bundle brings itself.
"""

from __future__ import annotations

import logging
import pydoc
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from monai.bundle.config_parser import ConfigParser

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import description, flat, grids, kinds
from radnode.pipelines.models.adapting import DEVICE, ITEMS, LAST_FORM, START_UP, WEIGHTS, adapt, reads_plain_images
from radnode.pipelines.models.finite import Watch
from radnode.pipelines.models.outside import outside
from radnode.pipelines.models.own_modules import OwnModules
from radnode.pipelines.models.weights import load_weights, tensors_and_arrays_only

if TYPE_CHECKING:
    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import ColourImage, Projection

_CONFIGURATIONS = ("inference.json", "inference.yaml", "inference.yml")


class BundlePipeline:
    """One bundle. Construction reads its configuration and loads its weights, on the device of the first run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = description.metadata(folder)
        self._reads = description.images_read(folder, self._said)
        self._own = OwnModules(folder)
        self._watch = Watch()
        self._items: list[Any] = [{}]  # an engine counts once, when it is made, what an epoch holds
        self._evaluator: Any = None
        self._output: Any = None
        self._plain = False
        self._transforms: tuple[Any, ...] = ()
        self._last_form: list[Any] = []
        self._device = ""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the bundle and what is wrong with it."""
        wanted = kinds.output(self._said, self._folder.name, images.modality)
        if self._evaluator is None or self._device != context.device:
            context.stage("loading")
            self.open(context.device)
        with self._own.active():
            context.stage("running the bundle")
            if images.projections:
                given_each = [self._evaluate(self._picture(each)) for each in images.projections]
                return flat.findings(given_each, wanted, self._said, images.projections)
            given = self._evaluate(self._item(images))
        context.stage("reading its answer")
        return kinds.findings(given, wanted, self._said, self._transforms, images.modality, images.volume)

    def _item(self, images: StudyImages) -> dict[str, Any]:
        """What the bundle's data set would hold: each image under its key, channels of one key stacked."""
        volumes = dict(images.others)
        if self._reads.inputs:
            volumes[self._reads.inputs[0].name] = images.volume
        if missing := [each.name for each in self._reads.inputs if each.name not in volumes]:
            raise RunFailed(f"bundle {self._folder.name} reads {', '.join(missing)} as well; it got one series")
        return {key: grids.to_monai(*[volumes[name] for name in names] or [images.volume])
                for key, names in self._reads.keys.items()}

    def open(self, device: str) -> None:
        """Load its network on that device, as the first run would. Raises RunFailed."""
        with self._own.active():
            self._open(device)

    def _picture(self, image: Projection | ColourImage) -> dict[str, Any]:
        """One image under the bundle's key."""
        (key,) = self._reads.keys
        said = description.image_inputs(self._said).get(key, {})
        return {key: flat.to_monai(image, int(said.get("num_channels") or 1))}

    def _open(self, device: str) -> None:
        folder = self._folder
        paths = (folder / "configs" / name for name in _CONFIGURATIONS)
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise RunFailed(f"bundle {folder.name} has no configs/inference.json or inference.yaml")
        self._device = device
        parser = ConfigParser(globals={ITEMS: self._items, DEVICE: torch.device(device)})
        adapted = adapt(ConfigParser.load_config_file(path), str(folder))
        parser.read_config(adapted)
        parser.read_meta(self._said)
        try:
            with tensors_and_arrays_only():
                parser.get_parsed_content(START_UP)
                evaluator = parser.get_parsed_content("evaluator")
                for each in parser.get_parsed_content(WEIGHTS):
                    load_weights(folder, Path(each["path"]), each["into"], strict=bool(each["strict"]))
                    for network in each["into"].values():
                        self._watch.over(network)
                last_form = parser.get_parsed_content(LAST_FORM)
                post = parser.get_parsed_content("postprocessing") if "postprocessing" in adapted else None
        except OSError as error:
            raise RunFailed(f"bundle {folder.name} cannot be opened: {outside(error)}") from error
        except (ImportError, pydoc.ErrorDuringImport, AttributeError, KeyError, TypeError, ValueError,
                RuntimeError) as error:
            raise RunFailed(f"bundle {folder.name} cannot be opened: {_why(error)}") from error
        evaluator.logger.setLevel(logging.WARNING)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._keep_output)
        self._plain, self._last_form = reads_plain_images(adapted), list(last_form)
        self._transforms = tuple(getattr(post, "transforms", ()))
        self._evaluator = evaluator

    def _evaluate(self, item: dict[str, Any]) -> dict[str, Any]:
        self._items[:] = [next(iter(item.values())) if self._plain else item]
        try:
            with torch.inference_mode():
                self._evaluator.run()
                self._watch.check()
                for last_form in self._last_form:
                    self._output = last_form(self._output)
            output = self._output
        except OSError as error:
            raise RunFailed(f"bundle {self._folder.name}: {outside(error)}") from error
        except (KeyError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            raise RunFailed(f"bundle {self._folder.name} failed on these images: {_innermost(error)}") from error
        finally:
            self._items[:] = [{}]
            self._output = None
        return dict(output[0] if isinstance(output, list) else output)

    def _keep_output(self, evaluator: Any) -> None:
        """An engine forgets its output when a run ends."""
        self._output = evaluator.state.output


def _why(error: BaseException) -> str:
    """The first cause; for a package that is not installed, which one and what to do."""
    missing = re.search(r"No module named '(\w+)", str(error))
    cause: BaseException | None = error
    while missing is None and cause is not None:
        cause = cause.__cause__ or cause.__context__
        missing = re.search(r"No module named '(\w+)", str(cause))
    if missing is None:
        return _innermost(error)
    return (f"it needs the package {missing.group(1)}, which is not installed where this worker runs; install the "
            f"build of it that goes with the torch that is there ({torch.__version__})")


def _innermost(error: BaseException) -> str:
    """The first cause, in one line: MONAI wraps what a component said into the names of its parents."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
