"""What pipelines are compared with, and which of them raise no alarm: the section `monitoring` of a configuration."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field, model_validator

from radnode.config.sections import Section

if TYPE_CHECKING:
    from typing import Self


class Baseline(Section):
    """Days, the first and the last counted. `from` is a word of Python, hence the alias."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: date = Field(alias="from")
    last: date = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("`to` is before `from`; write the earlier day first")
        return self


class MonitoringSettings(Section):
    """baselines: pipeline -> the days that its figures are compared with. silence: pipelines that raise no alarm."""

    baselines: dict[str, Baseline] = {}
    silence: tuple[str, ...] = ()
