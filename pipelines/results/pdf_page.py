"""The sheet of the one-page report: A4, text that wraps, fonts that are embedded, the same bytes for the same words.

Two fonts, both under licences that allow embedding. FiraGO (SIL Open Font License) comes with the Python package
pymupdf-fonts and has Latin, Greek, Cyrillic, Hebrew, Arabic, Thai and Devanagari. WenQuanYi Micro Hei (Apache License
2.0) is Debian's fonts-wqy-microhei and has Chinese in both forms, Japanese and Korean. No Python package ships such a
font under a name to rely on, and one that is not embedded is shown as boxes by viewers without Asian font packs.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymupdf_fonts
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from radnode.pipelines import languages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from PIL import Image

    from radnode.pipelines.results.pdf_texts import Texts

MARGIN, WIDTH, HEIGHT = 14.0, 210.0, 297.0
INNER = WIDTH - 2 * MARGIN
BOTTOM = HEIGHT - 14.0
_LATIN, _EAST_ASIAN = "latin", "east-asian"
_RED, _GREY, _BLACK = (170, 0, 0), (90, 90, 90), (0, 0, 0)
# Line height for each point of the font's size, millimetres.
_LEADING = 0.45
# What stays together: a Chinese or Japanese character with the opening marks before and the closing marks behind it, or
# a word. Closing marks may not begin a line, opening marks may not end one.
_HAN = "\u2e80-\u2fff\u3041-\u30ff\u31f0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_OPENING, _CLOSING = "（《〈「『【〔", "，。：；！？、）》〉」』】〕"  # noqa: RUF001 - Chinese punctuation
_BREAKABLE = re.compile(
    rf"[{_OPENING}]*[{_HAN}][{_CLOSING}]* *|[{_OPENING}]*[^\s{_HAN}{_OPENING}{_CLOSING}]+[{_CLOSING}]* *|\S *"
)


class Sheet(FPDF):
    """A page in the making. Lengths in millimetres from the top left corner.

    foot: what every page says at its end. count: how many pages there are. Characters that the fonts lack are shown as
    code points, never left out.
    """

    def __init__(self, folder: Path, texts: Texts, created: datetime, foot: str, count: int) -> None:
        super().__init__(format="A4", unit="mm")
        self._foot, self._page_word, self._count = foot, texts.page, count
        self.set_creation_date(created)
        self.set_producer("radnode")
        self.set_lang(texts.language)
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, HEIGHT - BOTTOM)
        for style, name in (("", "figo"), ("B", "figbo")):
            path = folder / f"{name}.ttf"
            path.write_bytes(pymupdf_fonts.myfont(name))
            self.add_font(_LATIN, style, path)
        if languages.EAST_ASIAN_FONT.is_file():
            self.add_font(_EAST_ASIAN, "", languages.EAST_ASIAN_FONT)
            self.set_fallback_fonts([_EAST_ASIAN], exact_match=False)
        self._known = {code for font in self.fonts.values() for code in font.cmap}  # type: ignore[union-attr]
        # Joins Arabic letters, and orders what is written from right to left.
        self.set_text_shaping(True)
        self.ink(9)
        self.add_page()

    def footer(self) -> None:
        """Called for every page: whose it is and what it is, so that pages cannot be taken apart."""
        self.ink(7, colour=_GREY)
        self.set_xy(MARGIN, BOTTOM + 3)
        self.cell(INNER - 28, 4, self.printable(self._foot))
        self.cell(28, 4, self._page_word.format(number=self.page_no(), count=self._count), align="R")

    def cell(self, *arguments: Any, **options: Any) -> bool:
        """As fpdf2's, and the next one names its font again.

        fpdf2 2.8.9 takes the font that it set in a coloured cell with a word in a fallback font as still set behind the
        cell, when the page has gone back to the one before: what follows would show other letters.
        """
        broken = super().cell(*arguments, **options)
        self.current_font_is_set_on_page = False
        return bool(broken)

    def ink(self, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _BLACK) -> None:
        """What the next words are written with."""
        self.set_font(_LATIN, "B" if bold else "", size)
        self.set_text_color(*colour)

    def warn(self, lines: Sequence[str]) -> None:
        """A red box that nobody overlooks."""
        top = self.get_y()
        self.ink(11, bold=True, colour=_RED)
        self.set_y(top + 1.5)
        for line in lines:
            self.write_in(MARGIN, INNER, line, align="C")
        self.set_draw_color(*_RED)
        self.set_line_width(0.5)
        self.rect(MARGIN, top, INNER, self.get_y() + 1.5 - top)
        self.set_y(self.get_y() + 4)

    def write_in(self, left: float, width: float, text: str, *, align: str = "L") -> None:
        """Text in a column, from the present height on, whole on one page; goes on where it ends."""
        lines = self._lines(width, text)
        if self.get_y() + len(lines) * self._line() > BOTTOM:
            self.add_page()
        for line in lines:
            self.set_x(left)
            self.cell(width, self._line(), line, align=align, new_x=XPos.LEFT, new_y=YPos.NEXT)

    def height_in(self, width: float, text: str) -> float:
        """How high :meth:`write_in` would be."""
        return len(self._lines(width, text)) * self._line()

    def row_height(self, widths: Sequence[float], cells: Sequence[str]) -> float:
        """How high :meth:`row` would be."""
        return max(self.height_in(width, cell) for width, cell in zip(widths, cells, strict=True)) + 0.8

    def row(self, widths: Sequence[float], cells: Sequence[str]) -> None:
        """Cells beside each other above a thin line, on one page."""
        height = self.row_height(widths, cells)
        if self.get_y() + height > BOTTOM:
            self.add_page()
        top, left = self.get_y(), MARGIN
        for width, cell in zip(widths, cells, strict=True):
            self.set_y(top + 0.4)
            self.write_in(left, width, cell)
            left += width
        self.set_y(top + height)
        self.set_draw_color(200)
        self.set_line_width(0.1)
        self.line(MARGIN, self.get_y(), MARGIN + INNER, self.get_y())

    def picture(self, shown: Image.Image, left: float, top: float, size: tuple[float, float],
                edges: tuple[str, str, str, str]) -> None:
        """A picture with the letters of its left, right, upper and lower edge beside it, never over it."""
        width, height = size
        self.image(shown, x=left, y=top, w=width, h=height)
        self.ink(9, bold=True)
        middle, centre = top + height / 2 - 2, left + width / 2 - 5
        for letters, place in zip(edges, ((left - 7, middle, 6), (left + width + 1, middle, 6),
                                          (centre, top - 4.5, 10), (centre, top + height + 0.5, 10)), strict=True):
            if letters:
                x, y, wide = place
                self.set_xy(x, y)
                self.cell(wide, 4, letters, align="C")

    def printable(self, text: str) -> str:
        """Characters that no font has as [U+20000]: a name with a hole in it would be another name."""
        return "".join(
            each if ord(each) in self._known or each in "\n " else f"[U+{ord(each):04X}]"
            for each in " ".join(text.split())
        )

    def _lines(self, width: float, text: str) -> list[str]:
        """Lines that fit: broken between words and between Chinese characters, inside a word only if it fills a line.

        fpdf2 breaks at blanks alone; a number is never broken.
        """
        room = width - 2 * self.c_margin
        lines, filled = [""], 0.0
        for word in _BREAKABLE.findall(self.printable(text)):
            parts = [word] if self.get_string_width(word.rstrip()) <= room else list(word)
            for part in parts:
                wide = self.get_string_width(part)
                if lines[-1] and filled + self.get_string_width(part.rstrip()) > room:
                    lines.append("")
                    filled = 0.0
                lines[-1] += part
                filled += wide
        return [line.rstrip() for line in lines]

    def _line(self) -> float:
        return float(self.font_size_pt) * _LEADING


@contextmanager
def sheet(texts: Texts, created: datetime, foot: str, count: int) -> Iterator[Sheet]:
    """A sheet to write on; fpdf2 reads fonts from files, and until the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Sheet(Path(folder), texts, created, foot, count)
