"""Both languages say the same, and numbers, dates and names are written so that they cannot be misread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

import pytest
from pydicom.valuerep import PersonName

from radnode.pipelines.findings import Code
from radnode.pipelines.results.pdf_texts import CHINESE, ENGLISH, Texts, date_text, name_texts, number_text, unit_text


def _sentences(texts: Texts) -> Iterator[tuple[str, str]]:
    """(which, sentence) of everything but the terms, which need not be known."""
    for field in fields(texts):
        value = getattr(texts, field.name)
        if isinstance(value, str):
            yield field.name, value
        elif isinstance(value, tuple):
            yield from ((f"{field.name} {number}", each) for number, each in enumerate(value))
        elif field.name != "terms":
            assert isinstance(value, Mapping)
            yield from ((f"{field.name} {key}", each) for key, each in value.items())


def test_both_languages_have_every_sentence_with_the_same_blanks() -> None:
    english, chinese = dict(_sentences(ENGLISH)), dict(_sentences(CHINESE))
    assert set(english) == set(chinese)
    for which, sentence in english.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", chinese[which])), which


def test_every_chinese_sentence_is_chinese() -> None:
    latin = {"language", "page", "separator"}
    assert [which for which, sentence in _sentences(CHINESE)
            if which not in latin and not re.search("[\u4e00-\u9fff]", sentence)
            and not re.fullmatch(r"[{}\w\s-]*", sentence)] == []
    assert all(re.search("[\u4e00-\u9fff]", term) for term in CHINESE.terms.values())


def test_a_concept_without_a_translation_keeps_its_meaning() -> None:
    assert CHINESE.term(Code("39607008", "SCT", "Lung")) == "肺"
    assert CHINESE.term(Code("x", "99X", "Something new")) == "Something new"
    assert ENGLISH.term(Code("39607008", "SCT", "Lung")) == "Lung"


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (7.0, "7"), (-798.53, "-798.5"), (1244.53, "1245"), (1234567.8, "1234568"), (0.0625, "0.0625"),
    (999.96, "1000"), (0.00001234, "1.234e-05"), (12.5, "12.5"),
])
def test_a_number_keeps_four_digits_and_all_before_the_point(value: float, text: str) -> None:
    assert number_text(value) == text


def test_units_are_written_as_they_are_read() -> None:
    assert unit_text(Code("mm3", "UCUM", "cubic millimeter")) == "mm³"
    assert unit_text(Code("[hnsf'U]", "UCUM", "Hounsfield unit")) == "HU"
    assert unit_text(Code("{counts}/s", "UCUM", "Counts per second")) == "Counts per second"


def test_a_date_is_read_the_same_everywhere() -> None:
    assert date_text("20260302") == "2026-03-02"
    assert date_text("") == ""


def test_family_and_given_names_stay_apart_in_every_spelling() -> None:
    assert name_texts(PersonName("Yamada^Tarou=山田^太郎=やまだ^たろう")) == (
        "Yamada, Tarou", "山田, 太郎", "やまだ, たろう")
    assert name_texts(PersonName("Müller^Änne^^Dr.")) == ("Müller, Änne Dr.",)
    assert name_texts(PersonName("=王^小东")) == ("王, 小东",)
    assert name_texts(PersonName("^^")) == ()
