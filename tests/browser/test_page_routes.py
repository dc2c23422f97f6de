"""Routes by clicks: a new one is built and tried before it is in force; order, shadow, versions and the way back."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML
from support import dcmtk, pages
from support.node import NodeProcess, archive, modality
from support.pacs import StandInPacs
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser.conftest import Hospital
    from playwright.sync_api import Browser

SWITCHES = {False: ("Switch on", "Route %(route)s is switched on."),
            True: ("Switch off", "Route %(route)s is switched off.")}
HEAD = {"name": "head", "when": {"modality": "MR"}, "run": ["mr-brain"], "send": ["PACS"], "enabled": False}
CHEST = {"name": "chest", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["PACS"], "shadow": True}


@pytest.fixture(scope="module")
def radiology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, StandInPacs, Path]]:
    """A node of its own, whose chest route ran in shadow; its PACS; a file of the study."""
    folder = tmp_path_factory.mktemp("routes")
    files = write_series(chest_phantom(slices=12, size=48, seed=3), folder / "ct")
    with StandInPacs() as pacs, NodeProcess(
        folder / "node", peers=[modality(), archive(pacs.port)], routes=[CHEST, HEAD]
    ) as node:
        dcmtk.dcmsend(node.port, files, called="RADNODE")
        node.wait_for_states(PROCESSED=12, within=180)
        yield node, pacs, files[0]


PIPELINES = {"en": "cr-chest", "zh": "mg-cad"}
"""That a route of the page's language is made for; neither reads CT."""


def routes_in(node: NodeProcess) -> list[dict[str, object]]:
    return list(YAML(typ="safe").load(node.config.read_text(encoding="utf-8"))["routes"])


def test_results_in_shadow_are_kept_and_reach_neither_the_archive_nor_a_viewer(
    radiology: tuple[NodeProcess, StandInPacs, Path]
) -> None:
    node, pacs, _ = radiology
    job, = node.jobs()
    assert (job["shadow"], job["state"]) == (True, "PRODUCED")
    assert node.get("/api/status")["deliveries"] == {} or not pacs.received
    study = node.get("/dicom-web/studies")[0]["0020000D"]["Value"][0]
    modalities = [each["00080060"]["Value"] for each in node.get(f"/dicom-web/studies/{study}/series")]
    assert modalities == [["CT"]]


@pages.both
def test_the_list_says_what_each_route_asks_and_what_it_matched(
    radiology: tuple[NodeProcess, StandInPacs, Path], browser: Browser, language: str
) -> None:
    context = pages.logged_in(browser, radiology[0], language=language, dark=language == "zh")
    page = pages.opened(context, "/routes")
    chest, head = page.locator("li.route").all()
    assert chest.locator(".figure").inner_text() == "1"
    assert ("modality is CT" if language == "en" else "modality 等于 CT") in chest.inner_text()
    assert ("shadow" if language == "en" else "影子") in chest.inner_text()
    assert head.locator(".figure").inner_text() == "0"
    pages.assert_well(page)
    pages.picture(page, f"routes-{language}")
    context.close()


@pages.both
def test_a_route_is_built_by_clicks_and_tried_before_it_is_in_force(
    radiology: tuple[NodeProcess, StandInPacs, Path], browser: Browser, language: str
) -> None:
    node, _, file = radiology
    say, pipeline, name = partial(pages.said, language, "routes"), PIPELINES[language], f"thin-{language}"
    context = pages.logged_in(browser, node, language=language)
    page = pages.opened(context, "/routes/new")
    page.fill("#name", name)
    page.locator('[name="line.value"]').first.fill("CT")
    page.get_by_role("button", name=say("Add a condition"), exact=True).click()
    second = page.get_by_role("group", name=say("Condition %(number)s", number=2))
    second.get_by_label(say("Attribute")).fill("slice_thickness")
    second.get_by_label(say("Operator")).select_option("at_most")
    second.get_by_label(say("Value")).fill("thin")
    page.locator("#wrong-line-1", has_text=say("needs a number")).wait_for()
    pages.picture(page, f"route-wrong-{language}")
    second.get_by_label(say("Value")).fill("90")
    page.get_by_label(pipeline).check()
    page.get_by_role("checkbox", name="PACS", exact=True).check()
    page.locator("aside", has_text=pipeline).wait_for()
    page.set_input_files("#dropped", file)
    page.locator("#tried", has_text="slice_thickness").wait_for()
    page.get_by_role("button", name=say("+ group: %(words)s", words=say("At least one of these holds").lower())).click()
    page.locator("fieldset.group").wait_for()
    pages.assert_well(page)
    pages.picture(page, f"route-new-{language}")
    page.fill("#note", "for the new scanner")
    page.get_by_role("button", name=say("Put in force")).click()
    page.wait_for_url("**/routes")
    assert routes_in(node)[-1] == {
        "name": name, "when": {"modality": "CT", "slice_thickness": {"at_most": 90}}, "run": [pipeline],
        "send": ["PACS"]}
    shown = page.locator("ol.routes").inner_text()
    assert name in shown
    assert say("wrong modality") in shown
    context.close()


@pages.both
def test_order_switches_copies_and_deletion_are_in_force_at_once_and_can_be_taken_back(
    radiology: tuple[NodeProcess, StandInPacs, Path], browser: Browser, language: str
) -> None:
    node, _, _ = radiology
    say = partial(pages.said, language, "routes")
    context = pages.logged_in(browser, node, language=language)
    page = pages.opened(context, "/routes")

    def order() -> list[str]:
        return [str(each["name"]) for each in routes_in(node)]

    def enabled() -> bool:
        return bool(next(each for each in routes_in(node) if each["name"] == "head").get("enabled", True))

    before = order()
    page.get_by_role("button", name=say("Move %(route)s up", route="head")).focus()
    page.keyboard.press("Enter")
    page.locator("#said", has_text=say("Route %(route)s was moved.", route="head")).wait_for()
    assert order()[:2] == ["head", "chest"]
    page.locator('li[data-route="chest"]').drag_to(page.locator('li[data-route="head"]'))
    eventually(lambda: order() == before, within=10, why=lambda: str(order()))
    page.locator("li.route").first.locator("h2", has_text="chest").wait_for()
    is_on = enabled()
    button, told = SWITCHES[is_on]
    page.get_by_role("button", name=f"{say(button)} head").click()
    page.locator("#said", has_text=say(told, route="head")).wait_for()
    assert enabled() is not is_on
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=f"{say('Delete')} head").click()
    deleted = say("Route %(route)s is deleted; an earlier version has it.", route="head")
    page.locator("#said", has_text=deleted).wait_for()
    assert "head" not in order()
    page.get_by_role("link", name=say("Versions")).click()
    page.locator("tbody a").nth(1).click()
    page.locator(".diff .added").first.wait_for()
    pages.assert_well(page)
    pages.picture(page, f"version-{language}")
    page.get_by_label(say("Why")).fill("not yet")
    page.get_by_role("button", name=re.compile("^" + say("Go back to version %(number)s", number=""))).click()
    page.wait_for_url("**/routes/versions")
    assert "head" in order()
    assert "not yet" in page.locator("tbody tr").first.inner_text()
    pages.assert_well(page)
    pages.picture(page, f"versions-{language}")
    context.close()


@pytest.mark.catalogue("C8")
@pages.both
def test_of_two_administrators_the_second_is_told_that_the_first_was_there(
    radiology: tuple[NodeProcess, StandInPacs, Path], browser: Browser, language: str
) -> None:
    node, _, _ = radiology
    say = partial(pages.said, language, "routes")
    context = pages.logged_in(browser, node, language=language)
    page = context.new_page()
    page.goto("/routes")
    node.write_config(node.config.read_text(encoding="utf-8") + "# by an editor\n")
    page.get_by_role("button", name=say("Move %(route)s down", route="chest")).click()
    page.locator("#said.bad", has_text={"en": "was changed by file", "zh": "file 于"}[language]).wait_for()
    context.close()


def test_who_may_only_look_sees_the_routes_and_no_button(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, role="operator")
    page = pages.opened(context, "/routes")
    assert page.locator("ol.routes button").count() == 0
    pages.assert_well(page)
    answer = page.goto("/routes/new")
    assert answer is not None
    assert answer.status == 403
    context.close()
