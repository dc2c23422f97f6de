"""The viewer in a browser: what is leafed to, drawn over and said belongs together."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect
from support import dcmtk, pages
from support import result_samples as samples
from support.node import NodeProcess, archive, modality
from support.pacs import StandInPacs
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.findings import Code, Map, MapKind
from radnode.pipelines.forms import plan
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser.conftest import Hospital
    from playwright.sync_api import Browser, BrowserContext, Page

SERIES = "/studies/1/series/1"
LOADED = "[...document.querySelectorAll('.tiles img')].every((each) => each.naturalWidth > 1)"
LUNG, SOFT_TISSUE = "C -500 W 1500", "C 40 W 400"


def viewer(context: BrowserContext, path: str = SERIES) -> Page:
    page = pages.opened(context, path)
    page.wait_for_selector("#viewer[data-drawn][data-at]")
    return page


def said(page: Page, what: str) -> str:
    return page.locator(f".corner [data-said={what}]").inner_text()


def arrived(page: Page, number: int) -> None:
    """The picture, counted from 1, is shown: it and all that is over it."""
    expect(page.locator("#viewer")).to_have_attribute("data-at", str(number - 1))
    assert said(page, "number").startswith(f"{number} / 30")


def coloured(page: Page) -> int:
    """Pixels of the overlay that are shown."""
    return int(page.evaluate("""() => {
        let count = 0;
        for (const image of document.querySelectorAll(".layers img")) {
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight), on = canvas.getContext("2d");
            on.drawImage(image, 0, 0);
            const data = on.getImageData(0, 0, canvas.width, canvas.height).data;
            for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
        }
        return count;
    }"""))


def shades(page: Page) -> int:
    """How many degrees of opacity the overlay has that lies above the others."""
    return int(page.evaluate("""() => {
        const image = document.querySelector(".layers img:last-child");
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight), on = canvas.getContext("2d");
        on.drawImage(image, 0, 0);
        const data = on.getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(data.filter((_, at) => at % 4 === 3)).size;
    }"""))


def test_who_leafs_by_keys_wheel_and_slider_sees_the_picture_that_the_words_name(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, role="radiologist")
    page = viewer(context)
    arrived(page, 16)
    assert not page.locator(".reading").is_visible()
    stage = page.locator("#stage")
    stage.focus()
    page.keyboard.press("ArrowDown")
    arrived(page, 17)
    places = [said(page, "place")]
    page.keyboard.press("Home")
    arrived(page, 1)
    places.append(said(page, "place"))
    assert places[0] != places[1]
    stage.hover()
    page.mouse.wheel(0, 100)
    arrived(page, 2)
    page.locator("#leaf").fill("30")
    arrived(page, 30)
    assert [page.locator(f"[data-side='{side}']").inner_text() for side in range(4)] == ["R", "L", "A", "P"]
    shown = page.locator("#stage").inner_text()
    for words in ("Phantom Chest", "PHANTOM-1", "2026-01-02", "RESEARCH", "not for diagnosis"):
        assert words in shown
    pages.assert_well(page)
    context.close()


def test_a_finding_leads_to_its_slice_and_can_be_hidden_alone_or_with_all_others(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = viewer(context)
    page.keyboard.press("Tab")
    right = page.locator(".findings li", has_text="Right lung")
    assert "Volume" in right.inner_text()
    page.locator("#leaf").fill("1")
    arrived(page, 1)
    right.get_by_role("button", name="Right lung").click()
    expect(page.locator("#viewer")).not_to_have_attribute("data-at", "0")
    both = coloured(page)
    right.get_by_role("checkbox").uncheck()
    eventually(lambda: 0 < coloured(page) < both, within=10, why=lambda: "the left lung alone is drawn")
    page.locator("[data-overlay]").uncheck()
    expect(page.locator(".layers img")).to_have_count(0)
    page.locator("[data-opacity]").fill("80")
    assert page.locator(".layers").evaluate("each => getComputedStyle(each).opacity") == "0.8"
    page.locator("[data-overlay]").check()
    expect(page.locator(".layers img")).to_have_count(1)
    pages.assert_well(page)
    pages.picture(page, "page-viewer")
    context.close()


def test_windows_are_chosen_by_name_by_key_and_by_dragging(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = viewer(context)
    assert said(page, "window") == LUNG
    page.get_by_role("button", name="Soft tissue").click()
    expect(page.locator("[data-said=window]")).to_have_text(SOFT_TISSUE)
    page.locator("#stage").focus()
    page.keyboard.press("1")
    expect(page.locator("[data-said=window]")).to_have_text(LUNG)
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-said=window]")).to_have_text("C -500 W 1575")
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.up()
    eventually(lambda: float(said(page, "window").partition("W ")[2]) > 1900, within=10, why=lambda: "wider")
    page.keyboard.press("0")
    expect(page.locator("[data-said=window]")).to_have_text(LUNG)
    page.keyboard.press("+")
    expect(page.locator(".plate")).to_have_attribute("style", re.compile(r"scale\(1\.25\)"))
    assert page.said == []  # type: ignore[attr-defined]
    context.close()


def test_a_picture_that_cannot_be_had_says_so_and_the_one_before_it_is_gone(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node)
    page = viewer(context)
    page.route("**/images/*/1?*", lambda route: route.fulfill(
        status=415, json={"detail": "the pixels are fewer than the header says"}))
    page.locator("#leaf").fill("3")
    page.wait_for_selector(".broken:not([hidden])")
    assert "the pixels are fewer than the header says" in page.locator(".broken").inner_text()
    assert not page.locator(".base").is_visible()
    arrived(page, 3)
    context.close()


def test_the_pictures_of_a_study_are_there_in_chinese_in_the_dark_and_on_a_narrow_screen(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, language="zh", dark=True)
    page = pages.opened(context, "/studies/1/pictures")
    assert page.get_by_role("heading", level=1).inner_text() == "影像"
    eventually(lambda: page.evaluate(LOADED), within=10, why=lambda: "thumbnails")
    pages.assert_well(page)
    page.get_by_role("link", name="Chest 1.0 B31f").click()
    page.wait_for_selector("#viewer[data-drawn][data-at]")
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert "不得用于诊断" in page.locator("#stage").inner_text()
    pages.assert_well(page)
    context.close()


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A chest with contours and a map of probability that came with it, which ct-lung reads in shadow."""
    folder = tmp_path_factory.mktemp("planned")
    files = write_series(chest_phantom(slices=12, size=96, seed=7), folder / "ct")
    headers = [pydicom.dcmread(path) for path in files]
    air = np.stack([each.pixel_array for each in headers]) * float(headers[0].RescaleSlope) < 424
    air[:, :22], air[:, 72:], air[..., :14], air[..., 82:] = False, False, False, False
    findings = samples.lungs(samples.volume_of(headers))
    findings = replace(findings, segments=tuple(
        replace(segment, voxels=air & (np.arange(96) < 48 if segment.key == "lung-right" else np.arange(96) >= 48))
        for segment in findings.segments), measurements=())
    values = np.zeros(air.shape, np.float32)
    values[:, 30:60, 20:80] = np.linspace(0, 1, 60)
    shade = Map(key="lesion", label="Lesion", kind=MapKind.PROBABILITY, category=samples.ANATOMY, type=samples.LUNG,
                quantity=Code("111047", "DCM", "Probability"), unit=Code("1", "UCUM", "no units"), values=values,
                rgb=(255, 80, 0))
    sample = samples.sample(headers, replace(findings, maps=(shade,)), forms=plan(("RTSTRUCT", "FRACTIONAL")))
    for written in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        written.dataset.Manufacturer = "Planning Works"
        files.append(folder / f"{written.wanted.name}.dcm")
        written.dataset.save_as(files[-1], enforce_file_format=True)
    shadow = {"name": "next", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["PACS"], "shadow": True}
    with StandInPacs() as pacs, NodeProcess(
        folder / "node", peers=[modality(), archive(pacs.port)], routes=[shadow]
    ) as node:
        dcmtk.dcmsend(node.port, files, called="RADNODE")
        node.wait_for_states(PROCESSED=12, NOT_ROUTED=2, within=180)
        yield node


def test_contours_are_lines_a_map_says_its_scale_and_what_was_not_sent_says_so_on_the_picture(
    planned: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, planned, role="operator")
    page = viewer(context)
    assert not page.locator(".banner .unsent").count()
    lines = page.locator(".outlines img")
    expect(lines).to_have_count(1)
    assert page.evaluate("document.querySelector('.outlines img').naturalWidth") == 96
    expect(page.locator(".layers img")).to_have_count(1)
    expect(page.locator(".banner .scale")).to_have_text("Lesion: 10 %  100 %")
    page.get_by_role("checkbox", name="Draw Lesion").uncheck()
    expect(page.locator(".banner")).to_be_hidden()
    unsent = page.locator(".object.unsent", has_text="SEG").first
    unsent.get_by_role("checkbox").first.check()
    expect(page.locator(".banner .unsent")).to_contain_text("SHADOW \N{EN DASH} NOT SENT: ct-lung")
    page.locator("[data-overlay]").uncheck()
    expect(page.locator(".banner")).to_be_hidden()
    page.locator("[data-overlay]").check()
    page.get_by_role("checkbox", name="Draw Lesion").check()
    expect(page.locator(".banner p")).to_have_count(2)
    expect(page.locator(".layers img")).to_have_count(2)
    assert shades(page) > 10, "a map lies above what is opaque"
    pages.assert_well(page)
    pages.picture(page, "page-viewer-contours")
    context.close()


def test_a_radiologist_is_told_that_something_reads_in_shadow_and_not_what_it_found(
    planned: NodeProcess, browser: Browser
) -> None:
    context = pages.logged_in(browser, planned, role="radiologist", language="zh", dark=True)
    page = viewer(context)
    assert "其发现不予显示" in page.locator("#findings").inner_text()
    assert page.locator(".object").count() == 2
    assert page.locator(".unsent").count() == 0
    pages.assert_well(page)
    context.close()


def test_who_looks_at_pictures_is_in_the_audit_trail_with_the_study_and_no_address_names_the_patient(
    hospital: Hospital, browser: Browser
) -> None:
    context = pages.logged_in(browser, hospital.node, role="operator")
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    viewer(context).close()
    context.close()
    told = hospital.node.get(f"/api/audit?study={hospital.study_instance_uid}&limit=1000")
    (looked,) = [each for each in told if "operator-in-tests" in each["message"]]
    assert "PHANTOM-1" in looked["message"]
    assert len(asked) > 10
    assert not [url for url in asked if "PHANTOM" in url or hospital.study_instance_uid in url]
