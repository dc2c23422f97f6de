"""Archives, pulls, folders and priors: every mistake with its line and what would be right."""

from __future__ import annotations

import pytest

from radnode.config.loading import ConfigError, parse

GOOD = """\
peers:
  PACS1: {ae_title: PACS1, host: pacs, port: 104, sends: true, receives: true}
archives:
  PACS1:
  VNA: {dicomweb: {url: "https://vna/dicom-web", token_file: token}}
pulls:
  - {name: chest, from: VNA, schedule: "0 20 * * mon-fri", window: 2 d, modality: CT, between: "20:00-06:00"}
folders:
  - {name: import, path: import}
routes:
  - {name: chest, when: {source: import}, run: [ct-nodule], send: [PACS1], priors: {from: VNA}}
"""


def test_it_is_read() -> None:
    found = parse(GOOD, "a test").retrieving
    assert found.archives["PACS1"].retrieve == "c-move"
    assert found.pulls[0].modality == ("CT",)
    assert found.sources == {"VNA", "import"}
    route = parse(GOOD, "a test").routes[0]
    assert route.priors is not None
    assert (route.priors.source, route.priors.studies, route.priors.wait.total_seconds()) == ("VNA", 1, 600)


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("  PACS1:\n", "  PACS2:\n", 'a test:4: archives.PACS2: no peer is named "PACS2"; did you mean "PACS1"?'),
        ("sends: true", "sends: false", "archives.PACS1.retrieve: by C-MOVE the peer sends the images itself"),
        ("https://vna", "http://vna", "archives.VNA.dicomweb.url: anybody on the way could read the secret"),
        ("https://vna", "https://me@vna", "neither a user nor ? nor # belongs into it"),
        ("token_file: token", "user: me", "archives.VNA.dicomweb.user: without password_file"),
        ("from: VNA, schedule", "from: VNB, schedule", 'a test:7: pulls.from: no archive is named "VNB"'),
        ("0 20 * * mon-fri", "0 25 * * *", 'five fields as of cron, for example "*/15 * * * *"'),
        ("window: 2 d", "window: always", "a time is written like"),
        ("modality: CT", "modality: ct", "pulls.modality"),
        ("20:00-06:00", "20-06", "two hours of the day"),
        ("name: import", "name: PACS1", "folders.name: a peer has this name"),
        ("priors: {from: VNA}", "priors: {from: VNB}", 'routes.priors.from: no archive is named "VNB"'),
        ("priors: {from: VNA}", "priors: {same: sex}", "routes.priors.same"),
        ("priors: {from: VNA}", "priors: [VNA]", "routes.priors: not a mapping"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_line_and_its_cure(written: str, instead: str, said: str) -> None:
    assert written in GOOD
    with pytest.raises(ConfigError) as error:
        parse(GOOD.replace(written, instead), "a test")
    assert said in str(error.value)
