"""Connections: how each is and why, who was turned away, tried, changed; in both languages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Route
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from ruamel.yaml import YAML
from support import pages
from support.network import free_port
from support.node import NodeProcess, PeerEntry, archive, modality
from support.pacs import StandInPacs
from support.rows import NOW, job_over, must_lease, must_lease_delivery, produce, result
from support.waiting import eventually

from radnode.config.loading import load
from radnode.storage import outbox, results
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser.conftest import Hospital
    from playwright.sync_api import Browser


def call(port: int, *, calling: str) -> None:
    """Somebody who is not configured asks for an association, and gets none."""
    stranger = AE(ae_title=calling)
    stranger.add_requested_context(Verification)
    assert not stranger.associate("127.0.0.1", port, ae_title="RADNODE").is_established


def peers_of(node: NodeProcess) -> dict[str, dict[str, object]]:
    """As the configuration file has them now."""
    return dict(YAML(typ="safe", pure=True).load(node.config.read_text())["peers"])


def give_up(node: NodeProcess) -> None:
    """Before it starts: two results for PACS that were given up, one of them held back, and a form that it refused."""
    node.data.mkdir(parents=True)
    database = Database(node.database_url)
    database.upgrade()
    digest = load(node.config).peers["PACS"].digest
    try:
        job_over(database, 1)
        produce(database, must_lease(database), result("1.1"), result("1.2", 1))
        other = f"{outbox.OTHER_PATIENT}: PACS has the study under another PatientID than the result"
        for reason in ("status 0x0122", other):
            delivery = must_lease_delivery(database)
            with database.begin() as session:
                outbox.dead(session, delivery, reason, NOW)
        with database.begin() as session:
            results.remember_refusal(session, "PACS", "PDF", digest, "no context for it", NOW)
    finally:
        database.close()


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    """Of those who act."""
    return str(request.param)


@pytest.fixture(scope="module")
def say(language: str) -> Callable[..., str]:
    """What the pages say in it."""
    return partial(pages.said, language, "connections")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, language: str) -> Iterator[NodeProcess]:
    """One of each language, that the tests may change: a PACS that answers, and was given results in vain; OLD, which
    does not.
    """
    assert language
    folder = tmp_path_factory.mktemp("own")
    old = PeerEntry(name="OLD", port=free_port(), more={"receives": True})
    with StandInPacs() as pacs:
        made = NodeProcess(folder / "node", peers=[modality(), archive(pacs.port), old])
        give_up(made)
        with made as node:
            yield node


def test_each_connection_says_how_it_is_and_why(
    hospital: Hospital, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language, dark=language == "zh")
    page = pages.opened(context, "/connections")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="PACS", exact=True))
    assert row.get_by_text(say("well")).count()
    pages.assert_well(page)
    pages.picture(page, f"connections-{language}")
    page.get_by_role("link", name="PACS", exact=True).click()
    page.wait_for_url("**/connections/peer/PACS")
    assert page.get_by_text(say("Last deliveries")).count() == 1
    pages.assert_well(page)
    pages.picture(page, f"connection-{language}")
    context.close()


def test_a_destination_is_tried_from_its_page_and_a_profile_proposed(
    hospital: Hospital, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language)
    page = pages.opened(context, "/connections/peer/PACS")
    page.locator("#probe form button").first.click()
    page.get_by_role("heading", name=say("Proposal")).wait_for()
    said = page.locator("#probe").inner_text()
    assert say("answers C-ECHO and knows RADNODE") in said
    assert {"en": "it accepts every form that is configured", "zh": "它接受所配置的全部结果形式"}[language] in said
    assert "answers_find: true" in page.locator("#probe pre").inner_text()
    pages.assert_well(page)
    pages.picture(page, f"connection-tried-{language}")
    context.close()


def test_what_was_given_up_is_sent_again_and_what_is_held_back_only_by_itself(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/connections/peer/PACS")
    for reason in ("%(num)s result was given up and waits for somebody to send it again",
                   "%(num)s result is held back: it has the study under another patient"):
        page.get_by_text(say(reason, num=1)).wait_for()
    pages.assert_well(page)
    pages.picture(page, f"connection-failed-{language}")
    page.get_by_role("button", name=say("Send all again")).click()
    page.locator("#said").get_by_text(say("%(number)s results wait to be sent again.", number=1)).wait_for()
    page.get_by_role("button", name=say("Send all again")).wait_for(state="detached")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    row = page.get_by_role("row").filter(has_text=say(outbox.OTHER_PATIENT))
    row.get_by_role("button", name=say("Send again")).click()
    page.locator("#said").get_by_text(say("It waits to be sent again.")).wait_for()
    assert asked == [say("The destination has this study under another patient. Send the result as it is? This is "
                         "written into the timeline of the study.")]

    def told() -> int:
        return [each["kind"] for each in own.timeline("1.2.5.1")["events"]].count("result sent again by hand")

    eventually(lambda: told() == 2, within=30)
    context.close()


def test_what_a_button_did_is_said_although_another_was_drawn_in_its_place_before_the_answer_came(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/connections/peer/PACS")
    said, held = page.locator("#said"), []
    for answer, told in ((Route.abort, said.get_attribute("data-ended")),
                         (lambda route: route.fulfill(status=409, json={"detail": "on its way"}), "on its way"),
                         (Route.continue_, say("%(number)s result forms are offered again.", number=1))):
        page.route("**/connections/forms/*", lambda route: held.append(route), times=1)
        button = page.get_by_role("button", name=say("Offer them again"))
        pressed = button.element_handle()
        button.click()
        page.evaluate("document.body.dispatchEvent(new Event('connection-changed'))")
        page.wait_for_function("pressed => !pressed.isConnected", arg=pressed)
        answer(held.pop())
        said.get_by_text(told).wait_for()
    page.locator("#refused").wait_for(state="detached")
    context.close()


def test_a_stranger_is_added_as_a_source_after_a_look_at_the_lines_that_will_be_written(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    for _ in range(3):
        call(own.port, calling="CT3")
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/connections")
    row = page.get_by_role("row").filter(has_text="CT3")
    assert "3" in row.locator(".number").inner_text()
    row.get_by_role("link", name=say("Add it as a source")).click()
    page.wait_for_url("**/connections/entries/new/peer**")
    page.locator("#preview").get_by_text(say("Checked: nothing is wrong with it.")).wait_for()
    assert "ae_title: CT3" in page.locator("#preview").inner_text()
    page.fill("#f-port", "none")
    page.press("#f-port", "Tab")
    page.locator("#preview .wrong").get_by_text("peers.CT3.port").wait_for()
    page.locator("#f-port-wrong").get_by_text(say("Input should be a valid integer")).first.wait_for()
    page.fill("#f-port", "104")
    page.press("#f-port", "Tab")
    page.locator("#preview").get_by_text(say("Checked: nothing is wrong with it.")).wait_for()
    pages.assert_well(page)
    pages.picture(page, f"connection-new-{language}")
    page.get_by_role("button", name=say("Save and put in force")).click()
    page.wait_for_url("**/connections/peer/CT3")
    assert peers_of(own)["CT3"] == {
        "sends": True, "ae_title": "CT3", "host": "127.0.0.1", "port": 104, "hosts": ["127.0.0.1"]}
    known = AE(ae_title="CT3")
    known.add_requested_context(Verification)
    association = known.associate("127.0.0.1", own.port, ae_title="RADNODE")
    assert association.is_established
    association.release()
    context.close()


def test_a_peer_is_tried_before_it_is_saved_and_goes_only_with_a_reason(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/connections/entries/change/peer/OLD")
    page.get_by_role("button", name=say("Try it now")).click()
    page.locator("#trial").get_by_text({"en": "does not accept a connection", "zh": "不接受连接"}[language]).wait_for()
    pages.assert_well(page)
    pages.picture(page, f"connection-change-{language}")
    page.get_by_label(say("Why"), exact=True).fill("已停用")
    page.get_by_role("button", name=say("Remove %(name)s", name="OLD")).click()
    page.wait_for_url("**/connections")
    assert "OLD" not in peers_of(own)
    versions = own.command("config", "versions", "--config", own.config).stdout
    assert "admin-in-tests" in versions
    assert "已停用" in versions
    context.close()


def test_what_a_probe_proposes_is_in_force_with_one_click(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/connections/peer/PACS")
    page.get_by_role("button", name=say("Try it now")).click()
    page.get_by_role("button", name=say("Take it over into the configuration")).click()
    page.locator("#said").get_by_text(say("The proposal is in force.")).wait_for()
    assert peers_of(own)["PACS"]["answers_find"] is True
    page.get_by_text(say("yes: how many images a series has, and whether a result arrived")).wait_for()
    context.close()


def test_a_route_is_made_to_run_one_more_pipeline_with_one_click(
    own: NodeProcess, browser: Browser, language: str, say: Callable[..., str]
) -> None:
    context = pages.logged_in(browser, own, language=language)
    page = pages.opened(context, "/pipelines/ct-nodule")
    page.get_by_role("button", name=say("Run it in %(route)s", route="chest-ct")).click()
    page.get_by_role("button", name=say("Take it out of %(route)s", route="chest-ct")).wait_for()
    assert YAML(typ="safe", pure=True).load(own.config.read_text())["routes"][0]["run"] == ["ct-lung", "ct-nodule"]
    pages.assert_well(page)
    page.goto("/pipelines/ct-lung")
    page.get_by_role("button", name=say("Take it out of %(route)s", route="chest-ct")).click()
    page.get_by_role("button", name=say("Run it in %(route)s", route="chest-ct")).wait_for()
    context.close()


def test_who_may_only_look_finds_no_button_and_is_refused(hospital: Hospital, browser: Browser) -> None:
    context = pages.logged_in(browser, hospital.node, role="auditor")
    page = pages.opened(context, "/connections/peer/PACS")
    assert page.get_by_role("button", name="Try it now").count() == 0
    assert page.get_by_role("link", name="Change or remove").count() == 0
    assert context.request.get("/connections/entries/new").status == 403
    assert context.request.post("/connections/probes/peer/PACS").status == 403
    assert context.request.get("/pipelines/reports/any/report.html").status == 403
    context.close()
