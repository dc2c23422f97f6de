"""A MONAI bundle as a pipeline: its own preprocessing, network, inferer and postprocessing, unchanged, kept warm.

What is run is the bundle's own evaluator on one image in memory, so also one that the bundle brings itself.
"""

from __future__ import annotations

import logging
import pydoc
import re
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from monai.bundle.config_parser import ConfigParser
from monai.engines.utils import IterationEvents

from radnode.pipelines import ladder
from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.models import compiling, description, flat, grids, kinds, layout, presenting, saliency, thrift
from radnode.pipelines.models.adapting import (
    DEVICE,
    ITEMS,
    LAST_FORM,
    PATCH,
    START_UP,
    WEIGHTS,
    adapt,
    reads_plain_images,
)
from radnode.pipelines.models.finite import Watch
from radnode.pipelines.models.outside import outside
from radnode.pipelines.models.own_modules import OwnModules
from radnode.pipelines.models.resampling import axis_by_axis
from radnode.pipelines.models.weights import load_weights, tensors_and_arrays_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import ColourImage, Projection
    from radnode.pipelines.ladder import Rung

_CONFIGURATIONS = ("inference.json", "inference.yaml", "inference.yml")


class BundlePipeline:
    """One bundle. Its configuration is read and its weights are loaded by :meth:`load`, or at the first run.

    compiled: its network is compiled on the first device that it is loaded on (:mod:`.compiling`), if it can be.
    """

    def __init__(self, folder: Path, *, compiled: bool = False) -> None:
        self._folder = folder
        self._compiled_on: str | None = None if compiled else ""
        self._said = description.metadata(folder)
        self._reads = description.images_read(folder, self._said)
        self._own = OwnModules(folder)
        self._watch = Watch()
        self._items: list[Any] = [{}]  # an engine counts once, when it is made, what an epoch holds
        self._evaluator: Any = None
        self._output: Any = None
        self._plain = False
        self._patch: Sequence[int] = ()
        self._loader: Any = None
        self._transforms: tuple[Any, ...] = ()
        self._last_form: list[Any] = []
        self._device = ""
        self._times = _Times()
        self._network: dict[str, str] = {}

    def load(self, device: str) -> None:
        """Bring its network onto the device. Raises RunFailed, naming what is wrong with the bundle."""
        if self._evaluator is None or self._device != device:
            self._evaluator = None  # its memory goes before the new one is made
            with self._own.active():
                self._open(device)

    def network(self) -> Mapping[str, str]:
        """How the loaded network computes: its `format` in memory; of one that is to be `compiled`, since when, or why
        not.
        """
        return self._network

    def rungs(self, device: str) -> Sequence[Rung]:
        """The ways to run it: in its own precision, all its windows at once, first."""
        inferer = getattr(self._evaluator, "inferer", None)
        return ladder.rungs(device, windows=thrift.windows(inferer), half_asked=bool(self._evaluator.amp))

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the bundle and what is wrong with it."""
        return self._run(images, context, explain=False)

    def explained(self, images: StudyImages, context: RunContext) -> Findings:
        """As :meth:`run`; of a classifier of pictures with saliency maps (:class:`saliency.Explaining`)."""
        return self._run(images, context, explain=True)

    def _run(self, images: StudyImages, context: RunContext, *, explain: bool) -> Findings:
        wanted = kinds.output(self._said, self._folder.name, images.modality)
        if self._evaluator is None or self._device != context.device:
            context.stage("loading")
            self.load(context.device)
        stepped_down = thrift.stepped_down(self._evaluator, context.way, context.device)
        with self._own.active(), stepped_down, self._times.told(context):
            context.stage("running the bundle")
            if images.projections:
                return self._read_pictures(images.projections, wanted, explain=explain)
            given = self._evaluate(self._item(images))
        context.stage("reading its answer")
        return kinds.findings(given, wanted, self._said, self._transforms, images.modality, images.volume,
                              moving=images.others.get(self._reads.moving))

    def _item(self, images: StudyImages) -> dict[str, Any]:
        """What the bundle's data set would hold: each image under its key, channels of one key stacked."""
        volumes = dict(images.others)
        if self._reads.inputs:
            volumes[self._reads.inputs[0].name] = images.volume
        if missing := [each.name for each in self._reads.inputs if each.name not in volumes]:
            raise RunFailed(f"bundle {self._folder.name} reads {', '.join(missing)} as well; it got one series")
        return {key: grids.to_monai(*[volumes[name] for name in names] or [images.volume])
                for key, names in self._reads.keys.items()}

    def _read_pictures(
        self, images: Sequence[Projection | ColourImage], wanted: kinds.Output, *, explain: bool
    ) -> Findings:
        """Images one by one, each under the bundle's key, in the way that the bundle reads pictures."""
        if wanted.kind in (kinds.Kind.DETECTION, kinds.Kind.LANDMARKS) and (self._loader is not None or self._patch):
            raise NotProcessed(f"bundle {self._folder.name} loads pictures in a way of its own: where on the image its "
                               f"marks lie ({wanted.kind}) is not known")
        (key,) = self._reads.keys
        channels = int(description.image_inputs(self._said).get(key, {}).get("num_channels") or 1)
        given, seen = [], []
        for image in images:
            with saliency.watched(self._evaluator.network) if explain else nullcontext(saliency.Shown()) as shown:
                if self._loader is not None:
                    with presenting.as_file(image, channels) as path:
                        given.append(self._evaluate({key: path}))
                else:
                    given.append(self._evaluate({
                        key: presenting.as_patch(image, self._patch) if self._patch
                        else flat.to_monai(image, channels)}))
            seen.append(shown)
        rows_first = self._loader is not None and presenting.rows_first(self._loader, key)
        found = flat.findings(given, wanted, self._said, self._transforms, images, rows_first=rows_first)
        if explain and wanted.kind is kinds.Kind.CLASSIFICATION:
            answered = flat.classes_of(given, wanted, self._said, self._transforms)
            if self._loader is not None or self._patch:
                return replace(found, remarks=(*found.remarks, saliency.OF_ITS_OWN))
            found = saliency.with_maps(found, answered, seen, self._evaluator.network)
            self._watch.check()
        return replace(found, remarks=(*found.remarks, presenting.AS_PATCHES)) if self._patch else found

    def _open(self, device: str) -> None:
        folder = self._folder
        paths = (folder / "configs" / name for name in _CONFIGURATIONS)
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise RunFailed(f"bundle {folder.name} has no configs/inference.json or inference.yaml")
        self._device = device
        compiling.switch_off()
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
                patch = parser.get_parsed_content(PATCH)
                before = parser.get_parsed_content("preprocessing") if "preprocessing" in adapted else None
                post = parser.get_parsed_content("postprocessing") if "postprocessing" in adapted else None
        except OSError as error:
            raise RunFailed(f"bundle {folder.name} cannot be opened: {outside(error)}") from error
        except (ImportError, pydoc.ErrorDuringImport, AttributeError, KeyError, TypeError, ValueError,
                RuntimeError) as error:
            raise RunFailed(f"bundle {folder.name} cannot be opened: {_why(error)}") from error
        evaluator.logger.setLevel(logging.CRITICAL)  # engines log the words of every error
        evaluator.interrupt_resume_enabled = False  # else an engine that failed once only ends, without a step
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._keep_output)
        self._times.watch(evaluator)
        self._plain, self._last_form = reads_plain_images(adapted), list(last_form)
        self._patch = tuple(patch or ())
        self._loader = presenting.own_loader(getattr(before, "transforms", ()), self._own.has)
        self._transforms = tuple(getattr(post, "transforms", ()))
        self._make_fast(evaluator, device)
        self._evaluator = evaluator

    def _make_fast(self, evaluator: Any, device: str) -> None:
        """Compile its network if it is to be; lay the others out, a compiler does that itself."""
        half = dict(evaluator.amp_kwargs) if evaluator.amp else None
        self._network = {}
        if self._compiled_on is None:
            self._compiled_on = device
        if self._compiled_on == device and self._compile(evaluator, device, half):
            return
        networks = getattr(evaluator, "networks", None) or [getattr(evaluator, "network", None)]
        formats = {layout.arrange(each, device, half=half is not None)
                   for each in networks if isinstance(each, torch.nn.Module)}
        self._network["format"] = " and ".join(sorted(formats))

    def _compile(self, evaluator: Any, device: str, half: dict[str, Any] | None) -> bool:
        try:
            shape = self._full_batch(evaluator)
            network = compiling.Compiled(evaluator.network, shape, device=device, store=self._folder.parent, half=half)
        except compiling.NotCompiled as error:
            self._network["compiled"] = f"no: {error}"
            print(f"{self._folder.name} is not compiled and runs as it is: {error}", file=sys.stderr)  # noqa: T201
            return False
        self._watch.over(network)
        evaluator.network = network
        self._network |= {"compiled": f"in {network.took_s:.1f} s", "format": "the compiler's"}
        return True

    def _full_batch(self, evaluator: Any) -> tuple[int, ...]:
        """(windows, channels, *sizes) in which its inferer shows windows to its one network. Raises NotCompiled."""
        if not isinstance(getattr(evaluator, "network", None), torch.nn.Module):
            raise compiling.NotCompiled("it has several networks, or one of its own kind")
        inferer = getattr(evaluator, "inferer", None)
        windows, sizes = thrift.windows(inferer), thrift.sizes(inferer)
        if windows is None or not sizes:
            raise compiling.NotCompiled("it has no sliding window of a fixed size")
        said = description.image_inputs(self._said).values()
        return windows, sum(int(each.get("num_channels") or 1) for each in said), *sizes

    def _evaluate(self, item: dict[str, Any]) -> dict[str, Any]:
        self._items[:] = [next(iter(item.values())) if self._plain else item]
        try:
            with torch.inference_mode(), axis_by_axis():
                self._evaluator.run()
                self._watch.check()
                for last_form in self._last_form:
                    self._output = last_form(self._output)
            output = self._output
        except OSError as error:
            raise RunFailed(f"bundle {self._folder.name}: {outside(error)}") from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError) as error:
            raise RunFailed(f"bundle {self._folder.name} failed on these images: {_innermost(error)}") from error
        except RuntimeError as error:
            # What a transform said; memory and the device speak as RuntimeError themselves, and are the worker's.
            of_a_transform = str(error).startswith("applying transform")
            if not of_a_transform or isinstance(_first(error), (RuntimeError, MemoryError)):
                raise
            raise RunFailed(f"bundle {self._folder.name} failed on these images: {_innermost(error)}") from error
        finally:
            # A warm model holds on to no images, and to no memory that they take on the device.
            self._items[:] = [{}]
            self._output = self._evaluator.state.batch = self._evaluator.state.output = None
        return dict(output[0] if isinstance(output, list) else output)

    def _keep_output(self, evaluator: Any) -> None:
        """An engine forgets its output when a run ends."""
        self._output = evaluator.state.output


class _Times:
    """What an evaluator does around its network: reading the item is preprocessing, what follows the model post-."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._began = 0.0
        self._device: torch.device | None = None

    def watch(self, evaluator: Any) -> None:
        """From now on look at this one."""
        self._device = evaluator.state.device if hasattr(evaluator.state, "device") else None
        evaluator.add_event_handler(Events.GET_BATCH_STARTED, self._begin)
        evaluator.add_event_handler(Events.GET_BATCH_COMPLETED, self._end, "preprocess")
        if hasattr(evaluator.state, "iteration") and IterationEvents.MODEL_COMPLETED in evaluator._allowed_events:
            evaluator.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._begin)
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._end, "postprocess")

    @contextmanager
    def told(self, context: RunContext) -> Iterator[None]:
        """Within, a run; afterwards its parts are told, also if it failed."""
        self._seconds = {}
        try:
            yield
        finally:
            for part, seconds in self._seconds.items():
                context.took(part, seconds)

    def _begin(self, _evaluator: Any) -> None:
        self._began = self._now()

    def _end(self, _evaluator: Any, part: str) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + self._now() - self._began

    def _now(self) -> float:
        """A device works on after a call returns: wait for it, or one part is charged for another's work."""
        if self._device is not None and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


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


def _first(error: BaseException) -> BaseException:
    """MONAI wraps what a component said into the names of its parents."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _innermost(error: BaseException) -> str:
    """The first cause, in one line."""
    error = _first(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
