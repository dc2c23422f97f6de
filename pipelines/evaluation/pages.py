"""The report as one HTML file without scripts, and as a PDF of the same words."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from radnode.pipelines.evaluation.report import NOTICE, Figure, Heading, Table, Text
from radnode.pipelines.results.pdf_page import BOTTOM, INNER, MARGIN, Sheet, sheet
from radnode.pipelines.results.pdf_texts import TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from radnode.pipelines.evaluation.report import Block

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem;
     border-bottom: 1px solid #ccc; } h3 { font-size: 1.05rem; margin-top: 1.6rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #ddd;
         overflow-wrap: anywhere; } th { font-weight: 600; }
figure { margin: 1rem 0; break-inside: avoid; } figure svg, figure img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: .9rem; } .notice { color: #a00; border: 2px solid #a00; padding: .4rem .8rem;
             font-weight: 600; }
@media print { body { margin: 0; max-width: none; } table { break-inside: auto; } tr { break-inside: avoid; }
               h2, h3 { break-after: avoid; } }
"""
_POINTS = 8.5


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """One page; every text is escaped, for names come from files."""
    body = "\n".join(_html(block) for block in blocks)
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
            f'<body>\n<h1>{escape(title)}</h1>\n<p class="notice">{escape(NOTICE)}</p>\n{body}\n</body>\n</html>\n')


def to_pdf(title: str, blocks: Sequence[Block], created: datetime, path: Path) -> None:
    """A4; written twice, for the number of pages stands on each."""
    _, pages = _pdf(title, blocks, created, 0)
    path.write_bytes(_pdf(title, blocks, created, pages)[0])


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Figure):
        encoded = base64.b64encode(block.plot.png).decode()
        drawn = block.plot.svg or f'<img alt="{escape(block.caption)}" src="data:image/png;base64,{encoded}">'
        return f"<figure>{drawn}<figcaption>{escape(block.caption)}</figcaption></figure>"
    columns = "".join(f'<col style="width:{100 * width:.1f}%">' for width in block.widths)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in block.head) if any(block.head) else ""
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in block.rows)
    return f"<table><colgroup>{columns}</colgroup>{f'<tr>{head}</tr>' if head else ''}\n{rows}</table>"


def _pdf(title: str, blocks: Sequence[Block], created: datetime, pages: int) -> tuple[bytes, int]:
    """The document and how many pages it has; without its pictures where `pages` is not known yet."""
    with sheet(TEXTS["en"], created, title, pages) as page:
        page.ink(15, bold=True)
        page.write_in(MARGIN, INNER, title)
        page.set_y(page.get_y() + 2)
        page.warn([NOTICE])
        for block in blocks:
            _draw(page, block, pictures=pages > 0)
        return bytes(page.output()), page.page_no()


def _draw(page: Sheet, block: Block, *, pictures: bool) -> None:
    if isinstance(block, Heading):
        _room(page, 34 if block.level == 2 else 26)
        page.set_y(page.get_y() + (4 if block.level == 2 else 2.5))
        page.ink(12.5 if block.level == 2 else 10.5, bold=True)
        page.write_in(MARGIN, INNER, block.text)
        page.set_y(page.get_y() + 1)
    elif isinstance(block, Text):
        page.ink(9)
        page.write_in(MARGIN, INNER, block.text)
        page.set_y(page.get_y() + 1.5)
    elif isinstance(block, Table):
        _table(page, block)
    else:
        _figure(page, block, pictures=pictures)


def _table(page: Sheet, table: Table) -> None:
    widths = [share * INNER for share in table.widths]
    if any(table.head):
        page.ink(_POINTS, bold=True)
        page.row(widths, table.head)
    page.ink(_POINTS)
    for row in table.rows:
        page.row(widths, row)
        page.ink(_POINTS)
    page.set_y(page.get_y() + 2)


def _figure(page: Sheet, figure: Figure, *, pictures: bool) -> None:
    with Image.open(io.BytesIO(figure.plot.png)) as shown:
        width = min(figure.plot.width_mm, INNER)
        height = width * shown.height / shown.width
        page.ink(8)
        _room(page, height + page.height_in(INNER, figure.caption) + 2)
        if pictures:
            page.image(shown, x=MARGIN, y=page.get_y(), w=width, h=height)
    page.set_y(page.get_y() + height + 0.5)
    page.ink(8, colour=(70, 70, 70))
    page.write_in(MARGIN, INNER, figure.caption)
    page.set_y(page.get_y() + 2)


def _room(page: Sheet, height: float) -> None:
    if page.get_y() + height > BOTTOM:
        page.add_page()
