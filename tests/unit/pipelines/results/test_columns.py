"""Thousands of items are read as columns, and each row says what pydicom says of that item."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radnode.pipelines.results import columns

NUMBER, POSITION, INSTANCE = 0x0062000B, 0x00200032, 0x00081155
PLANE, IDENTIFICATION, DERIVATION, SOURCE = 0x00209113, 0x0062000A, 0x00089124, 0x00082112


def _item(number: int, position: list[str], *instances: str) -> Dataset:
    item, plane, identification, derivation = Dataset(), Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = position
    identification.ReferencedSegmentNumber = number
    derivation.SourceImageSequence = [Dataset() for _ in instances]
    for source, instance in zip(derivation.SourceImageSequence, instances, strict=True):
        source.ReferencedSOPInstanceUID = instance
    item.PlanePositionSequence, item.SegmentIdentificationSequence = [plane], [identification]
    item.DerivationImageSequence = [derivation]
    return item


def _encoded(items: list[Dataset], *, undefined: bool = False) -> bytes:
    """The value of a sequence of these items."""
    root = Dataset()
    root.PerFrameFunctionalGroupsSequence = items
    if undefined:
        for each in [root, *items]:
            for element in each:
                if element.VR == "SQ":
                    element.is_undefined_length = True
        for item in items:
            item.is_undefined_length_sequence_item = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, root)
    content = buffer.getvalue()
    return content[12:]


ITEMS = [
    _item(1, ["-1.5", "2", "3.25"], "1.2.3"),
    _item(2, ["-1.5", "2", "4.25"], "1.2.4"),
    _item(1, ["-10.5", "200", "3.25"], "1.2.345678"),
    _item(7, ["0", "0", "0"]),
    _item(65535, ["-1.5", "2", "5.25"], "1.2.5", "1.2.6"),
]


@pytest.mark.parametrize("undefined", [False, True])
def test_every_row_holds_what_its_item_says(undefined: bool) -> None:
    tables = columns.tables(_encoded(ITEMS, undefined=undefined))
    rows = sorted(row for table in tables for row in table.rows.tolist())
    assert rows == list(range(len(ITEMS)))
    for table in tables:
        numbers = table.numbers((IDENTIFICATION, NUMBER), "<u2")[:, 0]
        positions = table.decimals((PLANE, POSITION))
        for place, row in enumerate(table.rows):
            item = ITEMS[row]
            assert numbers[place] == item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            assert positions[place].tolist() == [float(v) for v in item.PlanePositionSequence[0].ImagePositionPatient]
            meant = [str(each.ReferencedSOPInstanceUID) for each in item.DerivationImageSequence[0].SourceImageSequence]
            held = table.columns.get((DERIVATION, SOURCE, INSTANCE), [])
            assert [bytes(column[place]).rstrip(b"\0").decode() for column in held] == meant


def test_alike_items_make_one_table() -> None:
    items = [_item(number, ["0", "0", "1.5"], f"1.2.{number}") for number in range(100, 900)]
    (table,) = columns.tables(_encoded(items))
    assert table.numbers((IDENTIFICATION, NUMBER), "<u2")[:, 0].tolist() == list(range(100, 900))
    (named,) = table.every(INSTANCE)
    assert len(named) == 800


def test_an_item_with_another_element_of_the_same_length_is_not_read_as_its_neighbours() -> None:
    first, second = Dataset(), Dataset()
    first.ReferencedSegmentNumber, second.StudyTime = 1, "10"
    first[0x0062000B].VR = "US"
    tables = columns.tables(_encoded([first, second]))
    assert [list(table.columns) for table in tables] == [[(NUMBER,)], [(0x00080030,)]]


def test_padding_is_no_part_of_a_text() -> None:
    (table,) = columns.tables(_encoded([_item(1, ["1", "2", "3"], "1.2.3")]))
    assert table.texts((DERIVATION, SOURCE, INSTANCE)).tolist() == [b"1.2.3"]


@pytest.mark.parametrize("cut", [1, 7, 9, 40])
def test_bytes_that_end_too_early_are_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"ends|longer|no item"):
        columns.tables(_encoded(ITEMS[:1])[:-cut])


def test_something_else_than_items_is_refused() -> None:
    with pytest.raises(ValueError, match="no item"):
        columns.tables(np.arange(64, dtype=np.uint8).tobytes())
