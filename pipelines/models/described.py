"""A model with a `model.yaml` as a pipeline: its network in any runtime, everything around it from the description."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.models import answers, model_file
from radnode.pipelines.models.naming import naming
from radnode.pipelines.models.outside import outside
from radnode.pipelines.models.preparing import decide, infer, prepare
from radnode.pipelines.models.runtimes import Network, open_network
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings


class DescribedPipeline:
    """One model. Construction reads its description; the network is opened on the device of the first run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._said = model_file.read(folder)
        except StoreError as error:
            raise RunFailed(str(error)) from error
        self._network: Network | None = None
        self._device = ""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises RunFailed, naming the model and what is wrong with it."""
        with naming(self._folder):
            return self._run(images, context)

    def _run(self, images: StudyImages, context: RunContext) -> Findings:
        said = self._said
        if said.input is None or said.output is None:
            raise RunFailed("model.yaml says no `input` or no `output`")
        if self._network is None or self._device != context.device:
            context.stage("loading")
            self._load(context.device)
        network = self._network
        if network is None:
            raise RunFailed("its network is not loaded")
        context.stage("preparing")
        image, remarks = prepare(images.volume, said.input)
        context.stage("running the network")
        try:
            answer = infer(network, image, said.input, context.device)
        except OSError as error:
            raise RunFailed(outside(error)) from error
        except (TypeError, ValueError, IndexError, NotImplementedError) as error:
            raise RunFailed(f"its network failed on these images: {_line(error)}") from error
        except RuntimeError as error:
            if _of_the_device(error):
                raise
            raise RunFailed(f"its network failed on these images, so `input` in model.yaml is not what it wants: "
                            f"{_line(error)}") from error
        context.stage("reading its answer")
        labels = decide(answer, said.output, images.volume)
        names = {"channel_def": {str(key): name for key, name in said.output.labels.items()}}
        found = answers.segments(labels, names, images.volume)
        return replace(found, remarks=(*remarks, *found.remarks))

    def load(self, device: str) -> None:
        """Load its network on that device, as the first run would. Raises RunFailed."""
        with naming(self._folder):
            self._load(device)

    def _load(self, device: str) -> None:
        path = self._folder / self._said.model
        if self._said.sha256 and path.is_file():
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            if found != self._said.sha256:
                raise RunFailed(f"{path.name} has the SHA-256 {found[:12]}, model.yaml says {self._said.sha256[:12]}: "
                                "it is damaged or another version; download it again")
        self._network, self._device = open_network(self._said.runtime, path, device), device


def _of_the_device(error: RuntimeError) -> bool:
    """Memory that ran out or a device that is gone: for the worker to decide, no fault of the description."""
    words = str(error)
    return (type(error).__name__ in ("OutOfMemoryError", "AcceleratorError") or "allocate memory" in words
            or words.startswith(("CUDA error", "cuDNN error", "HIP error")))


def _line(error: Exception) -> str:
    """The last line of what was said, where torch puts the cause."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:200]}"
