"""Every reason that the source can give is said in every language, and each by its own pattern."""

from __future__ import annotations

import re

import pytest
from support.reasons import sentences

from radnode.config.loading import ConfigError, parse
from radnode.node.pages.reasons import JOINTS, LONGEST, PLACE, Reasons
from radnode.node.pages.words import FOLDER, LANGUAGES, messages_in

OTHERS = sorted(LANGUAGES.keys() - {"en"})
ENGLISH_PLURALS = {"{number} association{value+} released", "{found} nodule{value} found",
                   "{windows} window{value+} at once"}
"""Whose place `value` is the letter of the plural, which Chinese has not."""


def catalogue(language: str) -> dict[str, str]:
    return messages_in(sorted((FOLDER / language / "reasons").glob("*.po")), language)


def places(text: str) -> set[str]:
    return {place[1] for place in PLACE.finditer(text)}


def filled(text: str, empty: set[str]) -> str:
    return PLACE.sub(lambda place: "" if place[1] in empty else f"⟨{place[1]}⟩", text)


@pytest.mark.parametrize("language", OTHERS)
def test_every_reason_of_the_source_has_a_translation_and_none_is_left_over(language: str) -> None:
    used, known = sentences(), catalogue(language)
    assert {text: place for text, place in used.items() if text not in known} == {}
    assert known.keys() - used.keys() - set(JOINTS) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_of_its_reason(language: str) -> None:
    plural = {"value"}
    assert {text: said for text, said in catalogue(language).items()
            if places(text) != places(said) | (plural if text in ENGLISH_PLURALS else set())} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_each_reason_is_said_by_its_own_pattern(language: str) -> None:
    reasons = Reasons.of(language)
    wrong = {}
    for text, said in catalogue(language).items():
        if text in JOINTS:
            continue
        nested = {place[1] for place in PLACE.finditer(text) if place[2]}
        example = filled(text, nested)
        if reasons.said(example) != filled(said, nested):
            wrong[example] = reasons.said(example)
    assert wrong == {}


def test_numbers_names_and_uids_stay_as_they_are() -> None:
    said = Reasons.of("zh").said("19 slices are missing inside the stack, at -12.5, 40 mm along its normal")
    assert said == "堆栈内部缺少 19 层，位于沿法线 -12.5, 40 mm 处"  # noqa: RUF001


def test_a_reason_in_a_reason_is_said_too_and_a_foreign_one_stays() -> None:
    reasons = Reasons.of("zh")
    assert reasons.said("PACS refused: out of storage space") == "PACS 拒收：out of storage space"  # noqa: RUF001
    said = reasons.said("given up after 24.0 h: PACS rejected the association")
    assert said == "24.0 小时后放弃发送：PACS 拒绝了关联"  # noqa: RUF001


def test_one_is_said_as_many_are() -> None:
    assert Reasons.of("zh").said("1 association released") == "已释放 1 个关联"


def test_a_list_of_reasons_behind_a_number_is_said() -> None:
    said = Reasons.of("zh").said("12 slices of one stack; ct-lung needs at least 30; 5 left out: it is a localiser; "
                                 "2 left out: it is a colour image")
    assert said == "一个堆栈有 12 层；ct-lung 至少需要 30 层；5 幅未采用：它是定位像；2 幅未采用：它是彩色影像"  # noqa: RUF001


@pytest.mark.parametrize("sentence", ["", "the third party's model does not like it", "<b>it is a localiser</b> indeed",
                                      "x; it is a localiser", "it is a localiser " * LONGEST])
def test_what_nobody_translated_is_shown_as_it_was_said(sentence: str) -> None:
    assert Reasons.of("zh").said(sentence) == sentence


def test_english_says_every_reason_as_it_is() -> None:
    assert Reasons.of("en").said("it is a localiser") == "it is a localiser"


def test_what_is_wrong_with_a_configuration_is_said_with_its_cure_and_its_place() -> None:
    text = """
node: {dicom_port: many, http_port: 99999, quiet_time_s: -3, report_language: fr, json_logs: perhaps, colour: red}
peers: {PACS: {ae_title: PACS, host: "a b", port: 104}}
routes:
  - {name: chest, when: {modalty: CT, slice_thickness: {at_least: thin}}, run: ct-lung, send: []}
  - {name: chest, when: {any: {}}, run: [ct-lung], send: [PACS], priority: now}
"""
    with pytest.raises(ConfigError) as raised:
        parse(text, "file")
    said = [Reasons.of("zh").said(f"{each.message}; {each.cure}") for each in raised.value.problems]
    assert len(said) == 13, said
    assert [each for each in said if re.search("[a-z]{2,}[ ,][a-z ]+ [a-z]{2,}", each)] == []
    assert 'node.dicom_port: \'many\' 不正确；应为整数，无法将文本读作整数' in said  # noqa: RUF001
    assert "routes.when.slice_thickness.at_least" in " ".join(said)


def test_of_several_reasons_after_one_another_each_is_said() -> None:
    said = Reasons.of("zh").said("ct-nodule no longer gets or gives what it did: image/noise on CT2 since 2026-11-02; "
                                 "protocol/KVP on CT1 since 2026-11-03; and 4 more")
    assert said == ("ct-nodule 收到的影像或给出的结果与以往不同：image/noise，CT2，自 2026-11-02 起；"  # noqa: RUF001
                    "protocol/KVP，CT1，自 2026-11-03 起；另有 4 项")  # noqa: RUF001
