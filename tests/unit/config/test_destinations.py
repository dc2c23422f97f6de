"""What a destination shows: form by form, or by a profile with a name."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from radnode.config.destinations import PROFILES, Profile, ResultForm
from radnode.config.loading import ConfigError, parse
from radnode.config.peers import Peer
from radnode.pipelines.forms import FORMS, plan, without
from radnode.pipelines.results.writers import WRITERS

PEER = {"name": "PACS", "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "receives": True}


def test_the_forms_of_the_configuration_are_those_of_the_writers() -> None:
    assert set(get_args(ResultForm)) == set(FORMS)


def test_every_profile_can_be_written_and_tells_of_studies_that_were_not_processed() -> None:
    """A form without a writer would fail the job for every destination."""
    assert set(PROFILES) == set(get_args(Profile))
    for forms in PROFILES.values():
        assert plan(forms)
        assert set(forms) <= set(WRITERS)
        assert "NOT-PROCESSED" in forms


@pytest.mark.parametrize("profile", PROFILES)
def test_what_replaces_a_refused_form_of_a_profile_can_be_written_too(profile: Profile) -> None:
    refused: set[str] = set()
    while instead := set(without(PROFILES[profile], refused)) - refused:
        assert instead <= set(WRITERS)
        refused |= instead


def test_a_profile_stands_for_its_forms() -> None:
    assert Peer(**PEER, profile="ohif").forms == PROFILES["ohif"]
    assert Peer(**PEER, result_forms=("SEG",)).forms == ("SEG",)
    assert Peer(**PEER).forms == ("SEG", "TID1500")


def test_a_profile_and_forms_together_are_a_mistake() -> None:
    with pytest.raises(ValidationError, match="write one of the two"):
        Peer(**PEER, profile="ohif", result_forms=("SEG",))


def test_any_change_of_a_peer_changes_its_digest() -> None:
    assert Peer(**PEER).digest == Peer(**PEER).digest
    assert Peer(**PEER).digest != Peer(**{**PEER, "port": 105}).digest


def test_a_mistake_in_a_profile_is_told_with_its_line() -> None:
    text = "peers:\n  PACS1:\n    ae_title: A\n    host: h\n    port: 104\n    {}\n"
    for written, line, said in (
        ("profile: ohiff", 6, "ohif"),
        ("result_forms: [SEGG]", 6, "SEG"),
        ("profile: ohif\n    result_forms: [SEG]", 7, "write one of the two"),
    ):
        with pytest.raises(ConfigError) as error:
            parse(text.format(written), "radnode.yaml")
        problem = error.value.problems[0]
        assert (problem.file, problem.line) == ("radnode.yaml", line)
        assert said in str(problem)
