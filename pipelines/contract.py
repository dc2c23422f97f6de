"""What a pipeline author writes against, and what passes between the node and a worker process.

    PipelineError            a run ended without findings; the message is for the administrator
    ├── NotProcessed         the input is not one this pipeline may read: a stated refusal, never retried
    │   └── IncompleteInput  images are missing or do not decode: nothing may be said about the rest
    └── RunFailed            the run broke although the input looked right

The node reads manifests and exchanges :class:`WorkOrder` and :class:`RunReport` as JSON lines with a worker;
only the worker (:mod:`radnode.pipelines.runner`) imports a pipeline's code.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import ColourImage, Projection, Volume
    from radnode.pipelines.inputs import Input
    from radnode.pipelines.ladder import Rung
    from radnode.pipelines.languages import Language


# CID 7162 (PS3.16): code meaning, as a manifest spells it -> code value in DCM.
ALGORITHM_FAMILIES = {
    "Neighborhood Analysis": "123101",
    "Adaptive Filtering": "123102",
    "Edge Detection": "123103",
    "Morphological Operations": "123104",
    "Histogram Analysis": "123105",
    "Multi-Scale/Resolution Filtering": "123106",
    "Cluster Analysis": "123107",
    "Multispectral Processing": "123108",
    "Artificial Intelligence": "123110",
    "Deformable Models": "123111",
}

READS = {
    "volume": "a stack of slices",
    "projection": "radiographs and mammograms as they are shown (FOR PRESENTATION)",
    "raw projection": "radiographs and mammograms as they were measured (FOR PROCESSING)",
    "colour": "colour images: endoscopy, fundus, photographs",
    "screening": "the standard views of a screening mammography, of the whole study, as they are shown",
    "raw screening": "the standard views of a screening mammography, of the whole study, as they were measured",
}
"""What a pipeline may read."""

SCREENINGS = {"screening": "projection", "raw screening": "raw projection"}
"""Those of :data:`READS` that are an examination -> what each of its images is."""

DEVICE_LOST = 75
"""Exit status of a worker whose device is gone for its process: another is started, and the job runs again there."""


class PipelineError(Exception):
    """A run ended without findings."""


class NotProcessed(PipelineError):
    """The study is outside what this pipeline reads; the reason says what would have been right."""


class IncompleteInput(NotProcessed):
    """Images are missing or unreadable; wait for them or send the series again."""


class RunFailed(PipelineError):
    """The pipeline broke; look at the worker's log under the job's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a pipeline declares in `pipeline.yaml`, read without importing its code.

    entry: "module:attribute" of a callable without arguments that returns a :class:`Pipeline`.
    modality: the modality it reads. sheared: whether it accepts gantry tilt (a non-rectangular grid).
    min_slices: fewer slices than this are refused; fewer images, for a pipeline that reads images.
    reads: a key of :data:`READS`.
    device_memory_mb: what a run needs on the device. model_digest: SHA-256 of the weights, or of the code
    version for a pipeline without weights. algorithm_family: a key of :data:`ALGORITHM_FAMILIES`.
    series_number: its results take this number and the next ones, one a result form.
    inputs: the images of one study that it reads, by name, the reference first; none for one that reads a series.
    registers: whether an image of another frame of reference may be moved onto the reference's, rigidly.
    priors: whether it compares with earlier series of the same patient, where its route fetches them.
    slots: what models of the model store may do for it, one each: the model that is added there as NAME-SLOT fills it.
    """

    name: str
    version: str
    title: str
    entry: str
    modality: str
    sheared: bool
    min_slices: int
    intended_use: str
    licence: str
    device_memory_mb: int
    algorithm_family: str
    model_digest: str
    series_number: int
    reads: str = "volume"
    inputs: tuple[Input, ...] = ()
    registers: bool = False
    slots: tuple[str, ...] = ()
    priors: bool = False

    @property
    def of_study(self) -> bool:
        """Whether a job is about a study, not about one series of it."""
        return bool(self.inputs) or self.reads in SCREENINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorImages:
    """An earlier examination of the same patient, decoded. Its volume has its own frame of reference.

    acquisition: as of :class:`StudyImages`.
    """

    study_date: date
    study_instance_uid: str
    volume: Volume
    acquisition: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyImages:
    """The decoded input of one run.

    volume: the selected series, of several inputs the first. None for a pipeline that reads images, as its manifest
    says (`reads`), so that the type of all others stays without a doubt.
    projections: those images: :class:`Projection` or :class:`ColourImage` each, by Instance Number, then frame.
    others: the further inputs by name, on the grid of `volume`; `valid` is False where they do not reach.
    lacking: optional input -> why it is not among them.
    excluded: SOP Instance UID -> why that instance was left out.
    notes: what was unusual about the input and must travel with the result.
    acquisition: DICOM keyword -> value, how the images were made (kernel, slice thickness, contrast...), as
    far as all of them agree.
    study_date: when they were made, None if they do not say. priors: earlier examinations, the latest first; empty for
    a pipeline whose manifest does not ask for them. What lacks is said in `notes`.
    """

    volume: Volume = cast("Volume", None)  # noqa: RUF009 - a name for None
    modality: str
    excluded: Mapping[str, str]
    notes: tuple[str, ...] = ()
    acquisition: Mapping[str, str] = field(default_factory=dict)
    projections: tuple[Projection | ColourImage, ...] = ()
    others: Mapping[str, Volume] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    study_date: date | None = None
    priors: tuple[PriorImages, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What the worker offers a pipeline: the torch device name and a way to tell how far the run is.

    way: how a :class:`DevicePipeline` is to run; None: as it likes. took: tells how many seconds a part of the run took
    that is to be shown apart ("preprocess", "postprocess").
    """

    device: str
    stage: Callable[[str], None]
    way: Rung | None = None
    took: Callable[[str, float], None] = lambda _part, _seconds: None


class Pipeline(Protocol):
    """One model or algorithm. Construction loads weights; the worker keeps the object warm."""

    def run(self, images: StudyImages, context: RunContext) -> Findings:
        """Read the images. Raises :class:`PipelineError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotModel:
    """A model of the model store that fills a slot of a pipeline.

    The callable that `entry` of a manifest with `slots` names is given them: slot -> model, without the empty slots.
    """

    manifest: Manifest
    pipeline: Pipeline


@runtime_checkable
class DevicePipeline(Pipeline, Protocol):
    """A pipeline with a network on the worker's device, which can run in several ways when memory is short."""

    def load(self, device: str) -> None:
        """Bring the network onto the device unless it is there. Raises :class:`PipelineError`."""
        ...

    def rungs(self, device: str) -> Sequence[Rung]:
        """The ways to run the loaded network, the one the model asks for first."""
        ...


@runtime_checkable
class TellsOfItsNetwork(Pipeline, Protocol):
    """A pipeline that can say how its loaded network computes."""

    def network(self) -> Mapping[str, str]:
        """What -> how, in words for people: `format` in memory, `compiled`. The same numbers in every way."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InputInstance:
    """One instance of a job's frozen input: its UIDs, the digest of its bytes and where they lie."""

    sop_instance_uid: str
    series_instance_uid: str
    digest: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSeries:
    """A series of an earlier study of the same patient. study_date: as in DICOM (DA)."""

    study_date: str
    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[InputInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """A report that an earlier revision of the same series gave under the same name, and that a destination holds."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """One job, as handed to a worker.

    input_digest: SHA-256 over the sorted input digests. output_folder: where result files are written.
    forms: the names of the objects to write (:func:`radnode.pipelines.forms.plan`), for all destinations together.
    findings: the file of what an earlier run of this job found; it is only written again. Empty to run the pipeline.
    model_digest: of the manifest that the job was made with; another model is not run. Empty: any.
    language: of what is written for people alone, the PDF. predecessors: what the reports take the place of.
    priors: earlier series to compare with; prior_remarks: what the result says of those that are not there,
    and of an input that was read although it is incomplete.
    issuers: whose identifiers those of the images are in messages, where the images do not say it
    (:mod:`radnode.pipelines.messages.identities`).
    """

    job_key: str
    pipeline: str
    revision: int
    instances: tuple[InputInstance, ...]
    input_digest: str
    configuration_digest: str
    forms: tuple[str, ...]
    content_qualification: str
    output_folder: str
    device: str
    node_version: str
    findings: str = ""
    model_digest: str = ""
    language: Language = "en"
    predecessors: tuple[Predecessor, ...] = ()
    priors: tuple[PriorSeries, ...] = ()
    prior_remarks: tuple[str, ...] = ()
    issuers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> WorkOrder:
        """The inverse of :meth:`to_json`."""
        fields = json.loads(line)
        fields["instances"] = tuple(InputInstance(**instance) for instance in fields["instances"])
        fields["forms"] = tuple(fields["forms"])
        fields["prior_remarks"] = tuple(fields["prior_remarks"])
        fields["priors"] = tuple(
            PriorSeries(**{**each, "instances": tuple(InputInstance(**one) for one in each["instances"])})
            for each in fields["priors"]
        )
        fields["predecessors"] = tuple(Predecessor(**each) for each in fields["predecessors"])
        return cls(**fields)


class RunState(StrEnum):
    """How a run ended: three answers that a radiologist must tell apart, and one that found something."""

    FINDINGS = "findings"
    NOTHING_FOUND = "nothing found"
    NOT_PROCESSED = "not processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedObject:
    """One encoded result that passed the gate.

    name: which object of the job (:mod:`radnode.pipelines.forms`); form: its result form.
    order: send order, objects that are referred to come first. references: SOP Instance UIDs of the results it
    refers to.
    """

    name: str
    form: str
    order: int
    path: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a worker answers to a work order.

    seconds: stage name -> wall seconds, each counted once. measurements: what the findings say, for page and log.
    memory: what the run took on its device, in megabytes, and what was done when that was short
    (:mod:`radnode.pipelines.inferring`).
    findings: the file of the findings (:mod:`radnode.pipelines.findings_file`); empty if there are none.
    observed: plain numbers of what was read and found, and how the images were made
    (:mod:`radnode.pipelines.observing`).
    """

    job_key: str
    state: RunState
    reason: str = ""
    objects: tuple[ProducedObject, ...] = ()
    measurements: tuple[dict[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    findings: str = ""
    memory: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> RunReport:
        """The inverse of :meth:`to_json`."""
        fields = json.loads(line)
        fields["state"] = RunState(fields["state"])
        fields["objects"] = tuple(
            ProducedObject(**{**produced, "references": tuple(produced["references"])})
            for produced in fields["objects"]
        )
        for name in ("measurements", "remarks", "repairs"):
            fields[name] = tuple(fields[name])
        return cls(**fields)
