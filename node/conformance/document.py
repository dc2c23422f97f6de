"""A document of sections, paragraphs and tables, as Markdown and as HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Table:
    """title, names of columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what stands below it, and its parts."""

    title: str
    content: tuple[str | Table, ...] = ()
    parts: tuple[Section, ...] = ()

    def tables(self) -> Iterator[Table]:
        """All, at any depth."""
        yield from (each for each in self.content if isinstance(each, Table))
        for part in self.parts:
            yield from part.tables()


def markdown(document: Section) -> str:
    """With numbered headings."""
    return "\n\n".join(_markdown(document, "", 1)) + "\n"


def as_html(document: Section) -> str:
    """One page without anything from elsewhere."""
    style = ("body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
             "table{border-collapse:collapse}"
             "th,td{border:1px solid #999;padding:.2em .6em;text-align:left;vertical-align:top}"
             "caption{text-align:left;font-weight:bold;padding:.4em 0}")
    body = "\n".join(_html(document, "", 1))
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(document.title)}</title>'
            f"<style>{style}</style></head><body>\n{body}\n</body></html>\n")


def _numbered(section: Section, number: str) -> Iterator[tuple[str, Section]]:
    for place, part in enumerate(section.parts, start=1):
        yield f"{number}{place}", part


def _markdown(section: Section, number: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} {number + ' ' if number else ''}{_cell(section.title)}"
    for each in section.content:
        if isinstance(each, str):
            yield _cell(each)
        else:
            lines = [each.columns, tuple("---" for _ in each.columns), *each.rows]
            rows = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
            yield f"**{_cell(each.title)}**\n\n{rows}"
    for name, part in _numbered(section, number and f"{number}."):
        yield from _markdown(part, name, min(level + 1, 6))


def _html(section: Section, number: str, level: int) -> Iterator[str]:
    yield f"<h{level}>{number + ' ' if number else ''}{html.escape(section.title)}</h{level}>"
    for each in section.content:
        if isinstance(each, str):
            yield f"<p>{html.escape(each)}</p>"
        else:
            yield f"<table><caption>{html.escape(each.title)}</caption>"
            for kind, cells in (("th", each.columns), *(("td", row) for row in each.rows)):
                yield "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"
            yield "</table>"
    for name, part in _numbered(section, number and f"{number}."):
        yield from _html(part, name, min(level + 1, 6))


def _cell(text: str) -> str:
    """A bar would end the cell, and < begin an element."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
