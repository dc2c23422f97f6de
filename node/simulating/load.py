"""What a simulated day is made of. Every figure says where it comes from: a source, a measurement, or an assumption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from radnode.config.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Priority = Literal["urgent", "routine", "low"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Several = Annotated[int, Field(ge=1, le=100_000)]

# Exams begun in each hour of a working day, in any unit: mornings and early afternoons, a flat night. Assumption.
_HOURS = (1, 1, 1, 1, 1, 1, 2, 5, 9, 10, 10, 9, 7, 8, 9, 8, 6, 4, 3, 3, 2, 2, 1, 1)

_FEWEST = 5
"""Fewer samples say less of a kind than all together."""


class ParametersRefused(Exception):
    """The file of parameters cannot be used; the text says why."""


class Kind(Section):
    """One kind of exam. share: of all exams. run: pipeline -> share of these exams that it reads."""

    share: Positive
    series: Several
    images: Several
    image_mb: Positive
    run: dict[str, Share] = {}

    @property
    def exam_mb(self) -> float:
        """Megabytes of a whole exam."""
        return self.series * self.images * self.image_mb


class JobTime(Section):
    """Seconds of a job from lease to recorded result: measured ones, or a lognormal distribution by two figures.

    samples_receiving: of jobs that began while images came in, which take longer on a machine that does both.
    """

    samples: tuple[Positive, ...] = ()
    samples_receiving: tuple[Positive, ...] = ()
    median: Positive = 20.0
    p95: Positive = 60.0

    def measured(self, *, receiving: bool) -> tuple[float, ...]:
        """What a job may take that begins while images come in, or while none do: all, where those are too few."""
        own = self.samples_receiving if receiving else self.samples
        return own if len(own) >= _FEWEST else (*self.samples, *self.samples_receiving)


class Outage(Section):
    """The archive neither sends nor takes anything."""

    at_hour: Annotated[float, Field(ge=0)]
    minutes: Positive


class Load(Section):
    """All parameters of a day; the descriptions are printed by `radnode simulate --explain`."""

    gb_a_day: Positive = Field(default=350.0, description=(
        "Gigabytes forwarded on a working day. Source: 350 GB a day at most from 715 scanners, Kathiravelu et al., "
        "A DICOM Framework for Machine Learning and Processing Pipelines Against Real-time Radiology Images, "
        "J Digit Imaging 2021"))
    runs_a_week: Positive | None = Field(default=10_000.0, description=(
        "Model runs in seven such days; the shares in `run` are scaled to it. null: the shares as they are. A figure "
        "of one in-house platform in print"))
    kinds: dict[str, Kind] = Field(default={
        "CT": Kind(share=0.22, series=3, images=250, image_mb=0.53,
                   run={"ct-lung": 0.35, "ct-nodule": 0.3, "ct-organs": 0.3}),
        "MR": Kind(share=0.13, series=7, images=60, image_mb=0.3, run={"mr-brain": 0.3}),
        "CR": Kind(share=0.45, series=1, images=2, image_mb=12.0, run={"cr-chest": 0.6}),
        "MG": Kind(share=0.05, series=1, images=4, image_mb=27.0, run={"mg-cad": 0.9}),
        "US": Kind(share=0.15, series=1, images=25, image_mb=0.9),
    }, description="Exams by kind: share, series, images a series, MB an image, pipelines. Assumption")
    hours: tuple[float, ...] = Field(default=_HOURS, min_length=24, max_length=24, description=(
        "Exams that begin in each hour of the day, relative. Assumption"))
    batched: Share = Field(default=0.3, description="Share of exams that are sent in batches. Assumption")
    batch: Several = Field(default=5, description="Exams of a batch on the average. Assumption")
    urgent: Share = Field(default=0.1, description="Share of urgent exams, around the clock. Assumption")
    low: Share = Field(default=0.15, description="Share of exams that may wait. Assumption")
    late: Share = Field(default=0.02, description="Share of series of which the last image comes later. Assumption")
    late_s: Positive = Field(default=240.0, description="Seconds by which it is late, on the average. Assumption")
    sent_again: Share = Field(default=0.05, description="Share of exams that the archive sends twice. Assumption")
    counted: Share = Field(default=0.7, description=(
        "Share of exams whose source is asked for the number of images; of the others, stacks are judged by geometry "
        "and everything else by quiet time. Assumption"))
    with_priors: Share = Field(default=0.2, description="Share of jobs that wait for earlier studies. Assumption")
    priors_s: Positive = Field(default=30.0, description="Seconds that these take on the average. Assumption")
    priors_wait_s: Positive = Field(default=600.0, description="Seconds after which a job goes without. A default")
    outages: tuple[Outage, ...] = Field(default=(Outage(at_hour=13.0, minutes=15),), description=(
        "Hours at which the archive is away; what it did not send comes at their end. Assumption"))
    sender_images_s: Positive = Field(default=50.0, description="Images a second of one sender. Assumption")
    receiver_images_s: Positive = Field(default=445.0, description=(
        "Images a second that the node acknowledges on several associations. Measured: docs/measurements.md, intake"))
    workers: Annotated[int, Field(ge=1, le=1000)] = Field(default=2, description="Worker processes. Given")
    quiet_time_s: Positive = Field(default=30.0, description="As in the configuration")
    settle_time_s: Positive = Field(default=0.5, description="As in the configuration")
    hold_after_s: Positive = Field(default=120.0, description="As in the configuration")
    around_s: Positive = Field(default=0.4, description=(
        "Seconds from a whole series to a waiting job and from a recorded result to its sending, together. Measured: "
        "docs/measurements.md, latency, `all else`"))
    send_s: Positive = Field(default=1.0, description="Seconds in which the results of a job are sent. Assumption")
    job_seconds: dict[str, JobTime] = Field(default={}, description=(
        "Seconds of a job by pipeline, from lease to record: `samples` and, of jobs that began while images came in, "
        "`samples_receiving`; or `median` and `p95` of a lognormal distribution. Take them from a node by --measured; "
        "without, median 20 s and p95 60 s. Assumption"))
    limit_min: dict[Priority, Positive] = Field(default={"urgent": 10.0, "routine": 60.0, "low": 480.0}, description=(
        "Minutes from the last image to the delivered result within which a study counts as read in time. Assumption"))
    cost_an_hour: float = Field(default=2.5, ge=0, description=(
        "What an hour of a worker costs, used or not, in any currency. Assumption"))

    @model_validator(mode="after")
    def _adds_up(self) -> Load:
        if self.urgent + self.low > 1:
            raise ValueError("urgent and low are shares of one whole")
        if not any(self.hours) or min(self.hours) < 0:
            raise ValueError("hours: write how many exams begin in each hour, none less than 0")
        return self

    @property
    def exams_a_day(self) -> float:
        """Exams that make up `gb_a_day`."""
        shares = sum(kind.share for kind in self.kinds.values())
        mean_mb = sum(kind.share * kind.exam_mb for kind in self.kinds.values()) / shares
        return self.gb_a_day * 1000 / mean_mb

    @property
    def run_scale(self) -> float:
        """By what the shares in `run` are multiplied, so that `runs_a_week` come about."""
        if self.runs_a_week is None:
            return 1.0
        shares = sum(kind.share for kind in self.kinds.values())
        of_an_exam = sum(kind.share * sum(kind.run.values()) for kind in self.kinds.values()) / shares
        return self.runs_a_week / 7 / (of_an_exam * self.exams_a_day) if of_an_exam else 0.0

    def explained(self) -> Iterator[tuple[str, str, str]]:
        """Name, value and origin of each."""
        for name, field in type(self).model_fields.items():
            yield name, str(getattr(self, name)), field.description or ""


def read_load(path: Path) -> Load:
    """Parameters from a YAML file; what it does not name is as by default. Raises :class:`ParametersRefused`."""
    try:
        said = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return Load.model_validate(said or {})
    except (OSError, ValueError, YAMLError) as error:
        raise ParametersRefused(f"{path}: {error}") from error
