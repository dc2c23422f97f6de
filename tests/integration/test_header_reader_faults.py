"""Whatever happens to the header process, no instance gets another one's header."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from radnode.node.indexing import Header, HeaderReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def reader() -> Iterator[HeaderReader]:
    reader = HeaderReader()
    yield reader
    reader.close()


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[int, Path]]:
    found = []
    for number in range(20):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.{number + 1}"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pydicom.dcmwrite(tmp_path / str(number), dataset, enforce_file_format=True)
        found.append((number, tmp_path / str(number)))
    return found


def uids(answers: list[object]) -> list[str]:
    return [answer.attributes["SOPInstanceUID"] for answer in answers if isinstance(answer, Header)]


def test_a_batch_that_nobody_finishes_leaves_no_answer_for_the_next(
    reader: HeaderReader, files: list[tuple[int, Path]]
) -> None:
    unfinished = reader.read(files)
    next(unfinished)
    unfinished.close()  # type: ignore[attr-defined]

    assert uids(list(reader.read(files[5:7]))) == ["1.2.6", "1.2.7"]


def test_a_process_that_dies_while_it_is_fed_is_replaced(reader: HeaderReader, files: list[tuple[int, Path]]) -> None:
    many = files * 200  # more than a pipe holds, so that feeding is under way
    answers = reader.read(many)
    first = next(answers)
    assert reader._process is not None
    os.kill(reader._process.pid, signal.SIGKILL)

    assert uids([first, *answers]) == [f"1.2.{number + 1}" for number, _ in many]


@pytest.mark.parametrize("said", ['{"id": 0, "attr', '{"id": 99, "attributes": {"SOPInstanceUID": "9.9"}}\n'])
def test_half_an_answer_and_an_answer_for_another_file_are_asked_again(
    reader: HeaderReader, files: list[tuple[int, Path]], said: str
) -> None:
    list(reader.read(files[:1]))
    reader._lines.put(said)

    assert uids(list(reader.read(files[:2]))) == ["1.2.1", "1.2.2"]
