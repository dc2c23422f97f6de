"""The shipped configuration is the manual: it loads, it is complete, and it tells the real defaults."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

import radnode.config
from radnode.config.loading import load
from radnode.config.peers import Peer
from radnode.config.settings import Settings, Worker

MANUAL = Path(radnode.config.__file__).parent / "defaults" / "radnode.yaml"


def test_the_manual_shows_every_setting_with_its_default() -> None:
    written = YAML(typ="safe").load(MANUAL)["node"]

    assert written.keys() == Settings.model_fields.keys()
    settings = load(MANUAL).settings
    assert settings.model_copy(update={"data": Path("radnode-data")}) == Settings()


def test_the_manual_shows_every_key_of_a_peer_a_worker_and_a_route() -> None:
    written = YAML(typ="safe").load(MANUAL)

    # A profile stands for result_forms, so the manual can only mention it.
    assert written["peers"]["PACS1"].keys() == Peer.model_fields.keys() - {"name", "profile"}
    assert "#   profile: ohif" in MANUAL.read_text()
    assert written["node"]["workers"][0].keys() == Worker.model_fields.keys()
    assert written["routes"][0].keys() == {"name", "when", "run", "send", "priority", "within", "enabled", "shadow",
                                            "priors"}
    assert "#   forward: [RESEARCH]" in MANUAL.read_text()


def test_every_key_of_a_setting_has_a_comment_above_it_or_above_its_group() -> None:
    lines = MANUAL.read_text().splitlines()
    bare = []
    for number, line in enumerate(lines):
        key = line.strip().split(":")[0]
        if line.startswith("  ") and not line.startswith("   ") and key in Settings.model_fields:
            above = number - 1
            while lines[above].strip().split(":")[0] in Settings.model_fields:
                above -= 1
            if not lines[above].lstrip().startswith("#"):
                bare.append(key)
    assert bare == []
