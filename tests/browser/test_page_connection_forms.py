"""Every kind of connection is added, tried, put aside and removed by clicks; in both languages, with real peers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from support import pages
from support.fhir import CLIENT, FhirPeer
from support.messages import Ris
from support.network import free_port
from support.node import NodeProcess, modality
from support.orthanc import Orthanc
from support.rows import NOW

from radnode.node.pages.words import Words
from radnode.storage import fetches
from radnode.storage.database import Database
from radnode.storage.fetch_tables import FetchState
from radnode.storage.fetches import Ended, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

ROUTES = [{"name": "chest", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["STOW"], "enabled": False}]
LOST = {"en": "1.2.3.4", "zh": "1.2.3.5"}
"""A study that never came, for each language."""
IN_CHINESE = {"answers QIDO-RS": "应答 QIDO-RS", "accepts a connection": "接受连接",
              "answers as FHIR R4": "以 FHIR R4 应答", "can be read": "可以读取"}
"""How the answer of a trial begins."""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[NodeProcess]:
    """A node that knows a scanner, an archive that it is to fetch from, and one destination by STOW-RS."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "password").write_text("test")
    made = NodeProcess(folder / "node", peers=[modality()], routes=ROUTES)
    document = read(made)
    document["peers"] |= {
        "ORTHANC": {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port, "sends": True},
        "STOW": {"receives": True, "dicomweb": {"url": f"http://127.0.0.1:{orthanc.http_port}/dicom-web"}},
    }
    with made.config.open("w") as file:
        YAML().dump(document, file)
    never_came(made)
    with made as node:
        yield node


def never_came(node: NodeProcess) -> None:
    """Before it starts: studies that ORTHANC did not give."""
    node.data.mkdir(parents=True)
    database = Database(node.database_url)
    database.upgrade()
    try:
        with database.begin() as session:
            for study_instance_uid in LOST.values():
                wish = Wish(archive="ORTHANC", study_instance_uid=study_instance_uid, wanted_by="a test")
                fetch, _ = fetches.want(session, wish, NOW, again=False)
                fetches.end(session, fetch, Ended(state=FetchState.GIVEN_UP, reason="the archive went away"), NOW)
    finally:
        database.close()


def read(node: NodeProcess) -> dict[str, Any]:
    """The configuration file as it is now."""
    return dict(YAML(typ="safe", pure=True).load(node.config.read_text()))


class Clicks:
    """What a person does with a form, in one language."""

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self._language = language
        self._say = Words.of(language, "connections").gettext

    def begin(self, kind: str) -> None:
        """From the list of connections to an empty form."""
        self.page.get_by_role("link", name=self._say("Add a connection"), exact=True).click()
        pages.assert_well(self.page)
        self.page.locator(f"a[href='/connections/entries/new/{kind}']").click()
        self.page.wait_for_url(f"**/connections/entries/new/{kind}")

    def fill(self, **fields: str) -> None:
        """By the names of the keys, dots as underscores of two."""
        for key, value in fields.items():
            self.page.fill(f"#f-{key.replace('__', '-')}", value)
        self.page.keyboard.press("Tab")

    def checked(self) -> None:
        self.page.locator("#preview").get_by_text(self._say("Checked: nothing is wrong with it.")).wait_for()

    def tried(self, answer: str, at: str = "#trial td") -> None:
        self.page.get_by_role("button", name=self._say("Try it now")).click()
        said = IN_CHINESE[answer] if self._language == "zh" else answer
        self.page.locator(at).get_by_text(said).first.wait_for()

    def save(self, address: str) -> None:
        self.page.get_by_role("button", name=self._say("Save and put in force")).click()
        self.page.wait_for_url(f"**/connections/{address}")

    def change(self) -> None:
        self.page.get_by_role("link", name=self._say("Change or remove")).click()
        self.page.wait_for_url("**/connections/entries/change/**")

    def remove(self, name: str) -> None:
        self.page.fill("#r-note", "no longer there")
        self.page.get_by_role("button", name=self._say("Remove %(name)s") % {"name": name}).click()
        self.page.wait_for_url("**/connections")


def at_connections(browser: Browser, node: NodeProcess, language: str, **more: Any) -> tuple[BrowserContext, Clicks]:
    context = pages.logged_in(browser, node, language=language, **more)
    return context, Clicks(pages.opened(context, "/connections"), language)


@pages.both
def test_a_destination_of_dicomweb_is_added_with_a_password_in_a_file(
    own: NodeProcess, orthanc: Orthanc, browser: Browser, language: str
) -> None:
    context, clicks = at_connections(browser, own, language)
    name, url = f"WEB-{language}", f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
    clicks.begin("dicomweb")
    clicks.fill(name=name, dicomweb__url=url, dicomweb__user="test")
    clicks.page.locator("#f-dicomweb-user-wrong").get_by_text("password_file").wait_for()
    clicks.fill(dicomweb__password_file="nowhere")  # noqa: S106 - a file's name
    clicks.page.locator("#f-dicomweb-password_file-wrong").get_by_text(
        {"en": "cannot be read", "zh": "无法读取"}[language]).wait_for()
    pages.assert_well(clicks.page)
    pages.picture(clicks.page, f"connection-dicomweb-{language}")
    clicks.fill(dicomweb__password_file=str(own.folder.parent / "password"))
    clicks.checked()
    clicks.tried("answers QIDO-RS")
    clicks.save(f"peer/{name}")
    assert read(own)["peers"][name] == {"receives": True, "dicomweb": {
        "url": url, "user": "test", "password_file": str(own.folder.parent / "password")}}
    context.close()


@pages.both
def test_a_ris_gets_results(
    own: NodeProcess, browser: Browser, language: str
) -> None:
    context, clicks = at_connections(browser, own, language)
    with Ris() as ris:
        clicks.begin("hl7")
        clicks.fill(name=f"RIS-{language}", host="127.0.0.1", port=str(ris.port), application="RIS")
        clicks.checked()
        clicks.tried("accepts a connection")
        clicks.save(f"hl7/RIS-{language}")
        clicks.tried("accepts a connection", at="#probe")
        pages.assert_well(clicks.page)
    assert read(own)["messaging"]["hl7"][f"RIS-{language}"]["application"] == "RIS"
    context.close()


@pages.both
def test_a_fhir_server_is_added_with_client_credentials_and_asked_for_its_metadata(
    own: NodeProcess, browser: Browser, language: str, tmp_path: Path
) -> None:
    context, clicks = at_connections(browser, own, language, dark=True)
    with FhirPeer(tmp_path) as fhir:
        clicks.begin("fhir")
        clicks.fill(name=f"EHR-{language}", url="fhir.example")
        clicks.page.locator("#f-url-wrong").get_by_text("https://").wait_for()
        clicks.fill(url=fhir.url, oauth2__token_url=f"http://127.0.0.1:{fhir.port}/token", oauth2__client_id=CLIENT,
                    oauth2__secret_file=str(fhir.secret_file), oauth2__scope="system/*.write")
        clicks.checked()
        clicks.tried("answers as FHIR R4")
        pages.assert_well(clicks.page)
        pages.picture(clicks.page, f"connection-fhir-{language}-dark")
        clicks.save(f"fhir/EHR-{language}")
    assert read(own)["messaging"]["fhir"][f"EHR-{language}"]["oauth2"]["client_id"] == CLIENT
    context.close()


def test_an_archive_of_a_peer_is_asked_at_night_and_stays_in_use_while_a_query_needs_it(
    own: NodeProcess, browser: Browser
) -> None:
    context, clicks = at_connections(browser, own, "en")
    page = clicks.page
    page.goto("/connections/peer/ORTHANC")
    page.get_by_role("link", name="Fetch images from it").click()
    page.wait_for_url("**/connections/entries/new/archive?name=ORTHANC")
    page.select_option("#f-retrieve", "c-get")
    clicks.fill(images_per_minute="600")
    clicks.checked()
    clicks.tried("offers C-GET")
    clicks.save("peer/ORTHANC")
    page.get_by_role("link", name="Ask it by schedule").click()
    clicks.fill(name="night", window="2 d", schedule="every night", between="20-06", modality="CT")
    page.locator("#f-schedule-wrong").get_by_text("five fields as of cron").wait_for()
    page.locator("#f-between-wrong").get_by_text("07:00-19:00").wait_for()
    pages.assert_well(page)
    pages.picture(page, "connection-pull")
    clicks.fill(schedule="*/15 * * * *", between="20:00-06:00")
    clicks.checked()
    clicks.tried("answers a search")
    clicks.save("pull/night")
    assert read(own)["archives"] == {"ORTHANC": {"retrieve": "c-get", "images_per_minute": 600}}
    assert read(own)["pulls"] == [{"name": "night", "from": "ORTHANC", "schedule": "*/15 * * * *", "window": "2 d",
                                   "modality": ["CT"], "between": "20:00-06:00"}]
    _stays_in_use_while_a_query_needs_it(own, clicks)
    context.close()


def _stays_in_use_while_a_query_needs_it(own: NodeProcess, clicks: Clicks) -> None:
    page = clicks.page
    page.goto("/connections/entries/change/archive/ORTHANC")
    page.get_by_text('no archive is named "ORTHANC"').wait_for()
    page.uncheck("#f-enabled")
    page.locator("#preview .wrong").get_by_text('no archive is named "ORTHANC"').wait_for()
    page.goto("/connections/pull/night")
    clicks.change()
    page.uncheck("#f-enabled")
    clicks.checked()
    clicks.save("pull/night")
    page.get_by_text("It is written in the configuration, and not in use").wait_for()
    clicks.change()
    clicks.remove("night")
    page.goto("/connections/entries/change/archive/ORTHANC")
    clicks.remove("ORTHANC")
    assert not read(own)["archives"]


@pages.both
def test_a_study_that_did_not_come_is_asked_for_again(own: NodeProcess, browser: Browser, language: str) -> None:
    context, clicks = at_connections(browser, own, language)
    page, say = clicks.page, partial(pages.said, language, "connections")
    page.goto("/connections/peer/ORTHANC")
    lost = page.get_by_role("row").filter(has_text=LOST[language])
    assert {"en": "the archive went away", "zh": "the archive 中断了连接"}[language] in lost.inner_text()
    pages.assert_well(page)
    pages.picture(page, f"connection-lacking-{language}")
    lost.get_by_role("button", name=say("Ask again")).click()
    page.locator("#said").get_by_text(say("It is asked for again.")).wait_for()
    context.close()


def test_what_a_route_sends_to_is_neither_put_aside_nor_removed(own: NodeProcess, browser: Browser) -> None:
    context, clicks = at_connections(browser, own, "en")
    page = clicks.page
    page.goto("/connections/entries/change/dicomweb/STOW")
    page.get_by_text('routes.chest: no peer is named "STOW"').wait_for()
    assert page.get_by_role("button", name="Remove STOW").count() == 0
    page.uncheck("#f-enabled")
    page.locator("#preview .wrong").get_by_text("it says enabled: false").wait_for()
    page.get_by_role("button", name="Save and put in force").click()
    page.locator("#said").get_by_text("it says `enabled: false`").wait_for()
    assert "enabled" not in read(own)["peers"]["STOW"]
    context.close()


def test_a_folder_is_put_aside_and_used_again(own: NodeProcess, browser: Browser) -> None:
    context, clicks = at_connections(browser, own, "zh")
    page = clicks.page
    clicks.begin("folder")
    place = own.folder / "import"
    place.mkdir()
    clicks.fill(name="import", path=str(place))
    clicks.checked()
    clicks.tried("can be read")
    clicks.save("folder/import")
    clicks.change()
    page.uncheck("#f-enabled")
    clicks.checked()
    clicks.save("folder/import")
    page.locator("ul.reasons").get_by_text("但未启用").wait_for()
    assert page.get_by_role("button", name="立即测试").count() == 0
    pages.assert_well(page)
    pages.picture(page, "connection-disabled-zh")
    clicks.change()
    page.check("#f-enabled")
    clicks.checked()
    clicks.save("folder/import")
    assert read(own)["folders"] == [{"name": "import", "path": str(place)}]
    context.close()


def test_orders_come_by_a_port_from_a_sender_with_an_address(
    own: NodeProcess, browser: Browser
) -> None:
    context, clicks = at_connections(browser, own, "en")
    page, port = clicks.page, free_port()
    clicks.begin("sender")
    clicks.fill(name="HIS", hosts="127.0.0.1")
    page.locator("#preview .wrong").get_by_text("nobody listens").wait_for()
    page.goto("/connections")
    clicks.begin("listener")
    clicks.fill(port=str(own.http_port))
    page.locator("#f-port-wrong").get_by_text("another port of the node is the same").wait_for()
    clicks.fill(port=str(port))
    clicks.checked()
    clicks.tried("nobody listens")
    pages.assert_well(page)
    clicks.save("listener/listener")
    page.goto("/connections")
    clicks.begin("sender")
    clicks.fill(name="HIS", accession="OBR-99")
    page.locator("#f-accession-wrong").get_by_text("OBR-99").wait_for()
    clicks.fill(accession="OBR-18")
    page.locator("#f-name-wrong").get_by_text("anybody could send in its name").wait_for()
    clicks.fill(hosts="127.0.0.1")
    page.select_option("#f-character_set", "UNICODE UTF-8")
    clicks.checked()
    clicks.save("sender/HIS")
    assert read(own)["messaging"]["senders"]["HIS"] == {
        "hosts": ["127.0.0.1"], "character_set": "UNICODE UTF-8", "accession": ["OBR-18"]}
    page.goto("/connections/entries/new/orders")
    clicks.fill(url="https://fhir.example/r4", token_file=str(own.folder.parent / "password"))
    clicks.checked()
    clicks.save("orders/orders")
    context.close()
    assert "sender HIS" in own.command("config", "versions", "--config", own.config).stdout


def test_a_form_is_filled_without_a_mouse_on_a_narrow_screen(own: NodeProcess, browser: Browser) -> None:
    context, clicks = at_connections(browser, own, "en", dark=True)
    page = clicks.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/connections/entries/new")
    pages.assert_well(page)
    pages.picture(page, "connection-kinds-narrow-dark")
    page.locator("a[href='/connections/entries/new/hl7']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/new/hl7")
    page.locator("#f-name").focus()
    for typed in ("KEYS", "127.0.0.1", "2575", "RIS", "HOSPITAL"):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    clicks.checked()
    pages.assert_well(page)
    pages.picture(page, "connection-hl7-narrow-dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Save and put in force").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/connections/hl7/KEYS")
    assert read(own)["messaging"]["hl7"]["KEYS"] == {
        "host": "127.0.0.1", "port": 2575, "application": "RIS", "facility": "HOSPITAL"}
    context.close()


def test_who_may_only_look_has_no_form(own: NodeProcess, browser: Browser) -> None:
    context = pages.logged_in(browser, own, role="operator")
    for path in ("new", "new/hl7", "change/peer/ORTHANC", "preview/hl7?name=a"):
        assert context.request.get(f"/connections/entries/{path}").status == 403
    for path in ("save/hl7", "try/hl7", "remove/peer/ORTHANC"):
        assert context.request.post(f"/connections/entries/{path}", form={"name": "a"}).status == 403
    context.close()
