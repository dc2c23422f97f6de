"""`model.yaml`: what a model that says nothing about itself is, as its administrator or author writes it down.

Read without running anything of the model. Every mistake is named with its line, what is wrong and what would be right.
"""

from __future__ import annotations

import io
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from radnode.pipelines.contract import Manifest
from radnode.pipelines.models.store import StoreError
from radnode.pipelines.results.window_presets import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from radnode.pipelines.models.store import Pin

FILE = "model.yaml"
_LARGEST = 64 * 1024
_AXES = ("LR", "PA", "IS")
_FILES = {"torchscript": "model.pt", "torch-export": "model.pt2", "onnx": "model.onnx", "tensorflow.js": "model.json"}
"""Runtime -> the name of the file that an author who names none means."""
_ENTRIES = {"nnunet": "radnode.pipelines.models.nnunet:NnunetPipeline",
            "container": "radnode.pipelines.models.container:ContainerPipeline"}
_ENTRY = "radnode.pipelines.models.described:DescribedPipeline"

Runtime = Literal["torchscript", "torch-export", "onnx", "tensorflow.js", "nnunet", "container"]


def _orientation(value: str) -> str:
    if sorted(next((pair for pair in _AXES if letter in pair), "") for letter in value) != sorted(_AXES):
        raise ValueError("expected three letters, one of L and R, of P and A, of I and S, like RAS")
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError("expected a smaller and a larger number")
    return value


def _inside(value: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", value) or ".." in value:
        raise ValueError("expected the name of a file in the model's folder")
    return value


def _known(value: str) -> str:
    if value not in PRESETS:
        raise ValueError(f"expected two numbers, or one of {', '.join(PRESETS)}")
    return value


Text = Annotated[str, Field(min_length=1)]
Preset = Annotated[str, AfterValidator(_known)]
Range = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_rising)]
Length = Annotated[float, Field(gt=0)]
Number = Annotated[int, Field(gt=0)]


class Part(BaseModel):
    """A part of the file; a key that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Intensity(Part):
    """How voxel values become what the network was trained on; one of the first four.

    window: this range of values, of CT also by a preset's name, becomes `to`; what lies outside is clipped.
    percentiles: the range between two percentiles of the image, likewise. mean_std: subtract and divide. z_score: by
    the mean and standard deviation of all voxels of the image, or of those that are not 0.
    """

    window: Range | Preset | None = None
    percentiles: Range | None = None
    mean_std: Annotated[tuple[float, Length], Field(strict=False)] | None = None
    z_score: Literal["all", "nonzero"] | None = None
    to: Range = (0.0, 1.0)

    @model_validator(mode="after")
    def _one(self) -> Intensity:
        said = [name for name in ("window", "percentiles", "mean_std", "z_score") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError("expected one of window, percentiles, mean_std, z_score")
        if self.percentiles and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError("percentiles lie between 0 and 100")
        return self


class Input(Part):
    """What the network is shown. Lengths and sizes are in the order of the axes that `orientation` names.

    orientation: the directions in which the three axes of its tensor rise, as nibabel's and MONAI's axis codes.
    spacing: mm; without it the images' own. size: voxels; the image is padded or cut about its middle to this.
    crop_above: only the box around voxels above this value, after `intensity`, is shown. patch: voxels; a window of
    this size slides over the image. overlap: of two windows, as a share. channels: of the tensor. denoise: whether
    it is shown the images with less noise (:mod:`radnode.pipelines.denoising`).
    """

    orientation: Annotated[str, AfterValidator(_orientation)] = "RAS"
    spacing: Annotated[tuple[Length, Length, Length], Field(strict=False)] | None = None
    intensity: Intensity | None = None
    size: Annotated[tuple[Number, Number, Number], Field(strict=False)] | None = None
    crop_above: float | None = None
    patch: Annotated[tuple[Number, Number, Number], Field(strict=False)] | None = None
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.25
    channels: Literal[1] = 1
    denoise: bool = False


class Output(Part):
    """What the network answers. labels: channel (of `labels`: value) -> name.

    answer: `classes`, a channel for each class, of which a voxel has one; `regions`, a channel for each, which may
    overlap; `labels`, one channel of label numbers. activation: what the network leaves to its user.
    """

    answer: Literal["classes", "regions", "labels"]
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    labels: dict[Annotated[int, Field(ge=0, lt=65536)], Text]

    @model_validator(mode="after")
    def _sound(self) -> Output:
        wrong = {"classes": ("sigmoid",), "regions": ("softmax",), "labels": ("softmax", "sigmoid")}[self.answer]
        if self.activation in wrong:
            raise ValueError(f"the activation {self.activation} does not go with the answer {self.answer}")
        if self.answer != "labels" and sorted(self.labels) != list(range(len(self.labels))):
            raise ValueError("labels name every channel, from 0 on, the background too")
        if not any(name.lower() != "background" for name in self.labels.values()):
            raise ValueError("labels name nothing but the background")
        return self


class ModelFile(Part):
    """The whole file. file: the model; sha256: of that file, compared if stated. image: a container's, by digest."""

    name: Text
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\S{0,32}$")]
    runtime: Runtime
    file: Annotated[str, AfterValidator(_inside)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    image: Annotated[str, Field(pattern=r"^[\w./:-]+@sha256:[0-9a-f]{64}$")] | None = None
    modality: Annotated[str, Field(pattern=r"^[A-Z]{2,16}$")]
    input: Input | None = None
    output: Output | None = None
    licence: Text
    intended_use: Text

    @model_validator(mode="after")
    def _complete(self) -> ModelFile:
        if (self.image is not None) != (self.runtime == "container"):
            raise ValueError("`image` goes with the runtime container, and that one needs it")
        if self.output is None and self.runtime != "nnunet":
            raise ValueError("missing `output`")
        if self.input is None and self.runtime in _FILES:
            raise ValueError("missing `input`")
        if self.output and self.output.answer == "labels" and self.input and self.input.patch:
            raise ValueError("labels cannot be averaged where patches overlap; let the model answer with classes")
        intensity = self.input.intensity if self.input else None
        if self.modality != "CT" and intensity and isinstance(intensity.window, str):
            raise ValueError("a window by name is one of CT, in Hounsfield units; say two numbers or percentiles")
        return self

    @property
    def model(self) -> str:
        """The file of the model inside its folder."""
        return self.file or _FILES.get(self.runtime, "")


def read(folder: Path) -> ModelFile:
    """The description in a model's folder. Raises StoreError."""
    try:
        with (folder / FILE).open("rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{folder.name}: {FILE} cannot be read ({type(error).__name__})") from error
    if len(content) > _LARGEST:
        raise StoreError(f"{folder.name}: {FILE} is larger than {_LARGEST} bytes")
    try:
        return parse(text)
    except ValueError as error:
        raise StoreError(f"{folder.name}: {FILE}, {error}") from error


def parse(text: str) -> ModelFile:
    """A description from its text. Raises ValueError: the line, what is wrong, what would be right."""
    try:
        content = YAML(typ="rt", pure=True).load(io.StringIO(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"line {line}: not YAML: {error.problem}") from error
    except YAMLError as error:
        raise ValueError("line 1: not YAML") from error
    if not isinstance(content, dict):
        raise ValueError("line 1: not a list of `key: value` lines")  # noqa: TRY004 - one error for every mistake
    try:
        return ModelFile.model_validate(_plain(content))
    except ValidationError as error:
        said = [f"line {_line(content, each['loc'])}: {_said(each)}" for each in error.errors()]
        raise ValueError("; ".join(dict.fromkeys(said))) from error


def manifest(folder: Path, pin: Pin) -> Manifest:
    """What the node knows of a described model. Raises StoreError."""
    return manifest_of(read(folder), pin)


def manifest_of(said: ModelFile, pin: Pin) -> Manifest:
    """The same, of a description that was read."""
    return Manifest(
        name=pin.name,
        version=said.version,
        title=said.name[:64],
        entry=_ENTRIES.get(said.runtime, _ENTRY),
        modality=said.modality,
        sheared=False,
        min_slices=2,
        intended_use=said.intended_use,
        licence=said.licence[:64],
        device_memory_mb=0,
        algorithm_family="Artificial Intelligence",
        model_digest=pin.sha256,
        series_number=pin.series_number,
    )


def _plain(value: Any) -> Any:
    """Without ruamel's own kinds of text and number, which pydantic's strict mode refuses."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _line(content: Any, where: tuple[int | str, ...]) -> int:
    """Of the key or the item that is meant, or of what holds it."""
    line = 1
    for key in where:
        try:
            at: Any = content.lc
            line = (at.item(key) if isinstance(content, list) else at.key(key))[0] + 1
            content = content[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _said(error: ErrorDetails) -> str:
    where = ".".join(str(each) for each in error["loc"] if each != "[key]")
    if error["type"] == "missing":
        return f"missing `{where}`"
    if error["type"] == "extra_forbidden":
        return f"unknown key `{where}`{_nearest(error['loc'])}"
    words = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] == "value_error":
        return f"`{where}`: {words}" if where else words
    found = error["input"] if isinstance(error["input"], str | int | float | bool | list) else "something else"
    return f"`{where}` is {found!r}, expected {_PATTERNS.get(where, words)}"


_PATTERNS = {
    "version": "a version like 1.2.3, as text: in quotes where YAML would read a number",
    "modality": "a DICOM modality like CT",
    "sha256": "a SHA-256 in 64 hexadecimal digits",
    "image": "a container image by its digest, like registry/name@sha256:... with 64 digits",
    "input.channels": "1: a model of this kind reads one series",
    "input.spacing": "three lengths in millimetres",
    "input.size": "three numbers of voxels",
    "input.patch": "three numbers of voxels",
}


def _nearest(where: tuple[int | str, ...]) -> str:
    parts: dict[str, type[BaseModel]] = {"input": Input, "output": Output, "intensity": Intensity}
    part = parts.get(str(where[-2]), ModelFile) if len(where) > 1 else ModelFile
    nearest = get_close_matches(str(where[-1]), part.model_fields, n=1)
    return f"; did you mean `{nearest[0]}`?" if nearest else f"; known are {', '.join(part.model_fields)}"
