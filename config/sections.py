"""What every section of a configuration shares."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """What is written is all that is meant: unknown keys are mistakes, and `true` is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("write a number or a text")
        return value

    def beside(self, folder: Path) -> Self:
        """With the files that it names relative to a folder."""
        changed: dict[str, object] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Path):
                changed[name] = folder / value
            elif isinstance(value, Section):
                changed[name] = value.beside(folder)
        return self.model_copy(update=changed)


class Entry(Section):
    """One of several under names of their own. enabled: false puts it aside: it is checked, and not there otherwise."""

    enabled: bool = True


def empty_or_section(value: object) -> object:
    """For a key below which there are others."""
    if value is not None and not isinstance(value, dict | Section):
        raise ValueError("write its keys below it, or null")
    return value
