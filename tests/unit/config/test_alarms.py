"""The section `alarms` and what is expected of a source: each mistake has its line and its cure."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import radnode.config
from radnode.config.alarms import AlarmSettings, Mail, Webhook
from radnode.config.loading import ConfigError, load, parse
from radnode.config.peers import Expectation
from radnode.config.references import check_files

MANUAL = Path(radnode.config.__file__).parent / "defaults" / "radnode.yaml"
GOOD = """\
peers:
  CT2:
    ae_title: CT2
    host: 10.0.0.1
    port: 104
    sends: true
    expect: {every: 2 h, between: "07:00-19:00", days: [mon, fri]}
alarms:
  mail:
    host: mail.h.example
    from: node@h.example
    to: [admin@h.example]
    user: radnode
    password_file: secrets/mail
  webhook:
    url: https://alerts.h.example/radnode?from=a
    token_file: secrets/token
  destination_away: 10 min
  time_zone: Europe/Zurich
"""


def test_a_good_file_says_what_it_means() -> None:
    configuration = parse(GOOD, "a.yaml")
    expected = configuration.peers["CT2"].expect
    assert expected is not None
    assert (expected.every, expected.hours, expected.days) == (
        timedelta(hours=2), (time(7), time(19)), ("mon", "fri")
    )
    alarms = configuration.alarms
    assert alarms.mail is not None
    assert (alarms.mail.sender, alarms.mail.port, alarms.mail.tls) == ("node@h.example", 587, "starttls")
    assert alarms.destination_away == timedelta(minutes=10)
    assert str(alarms.zone) == "Europe/Zurich"


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("every: 2 h", "every: 2", 'a.yaml:7: peers.CT2.expect.every: 2 is wrong; a time is written like "30 s"'),
        ("every: 2 h", "every: 0 s", "between one second and 366 days"),
        ("every: 2 h", "evry: 2 h", 'a.yaml:7: peers.CT2.expect.evry: unknown key; did you mean "every"?'),
        ("07:00-19:00", "7-19", 'hours of the day are written like "07:00-19:00"'),
        ("07:00-19:00", "07:00-24:00", 'hours of the day are written like "07:00-19:00"'),
        ("07:00-19:00", "07:00-07:00", 'two hours of the day are written like "07:00-19:00"'),
        ("[mon, fri]", "[monday]", "peers.CT2.expect.days: 'monday' is wrong"),
        ("[mon, fri]", "[]", "peers.CT2.expect.days: empty; give at least one"),
        ("    sends: true\n", "", "a.yaml:6: peers.CT2.expect: nothing comes from it; write `sends: true`"),
        ("alarms:\n", "alarm:\n", 'unknown section "alarm"; did you mean "alarms"?'),
        ("    host: mail.h.example\n", "", "a.yaml:9: alarms.mail.host: missing"),
        ("    from:", "    form:", 'a.yaml:11: alarms.mail.form: unknown key; did you mean "from"?'),
        ("node@h.example", '"node@h.example\\nBcc: all@h.example"', "alarms.mail.from: 'node@h.example"),
        ("[admin@h.example]", "[admin]", "alarms.mail.to: 'admin' is wrong; write one mail address"),
        ("[admin@h.example]", "[]", "alarms.mail.to: empty"),
        ("    user: radnode\n", "", "a.yaml:13: alarms.mail.password_file: without user; write `user: …` beside it"),
        ("    password_file: secrets/mail\n", "", "a.yaml:13: alarms.mail.user: without password_file"),
        ("    user:", "    tls: none\n    user:", "alarms.mail.tls: the password would be readable"),
        ("https:", "http:", "a.yaml:16: alarms.webhook.url: the token would be readable by anybody on the way"),
        ("https://", "ftp://", "alarms.webhook.url: 'ftp://alerts"),
        ("https://", "https://me:pw@", "neither a user nor a # belongs into it"),
        ("Europe/Zurich", "Europe/Atlantis", "alarms.time_zone: 'Europe/Atlantis' is wrong"),
        ("Europe/Zurich", "../../etc/passwd", "this machine knows no such time zone"),
        ("destination_away: 10 min", "destination_away: 10", "a.yaml:18: alarms.destination_away: 10 is wrong"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_cure(wrong: str, right: str, expected: str) -> None:
    assert wrong in GOOD
    with pytest.raises(ConfigError) as refused:
        parse(GOOD.replace(wrong, right), "a.yaml")
    found = [str(problem) for problem in refused.value.problems]
    assert any(expected in problem for problem in found), found


def test_the_same_machine_may_be_told_without_encryption() -> None:
    text = GOOD.replace("https://alerts.h.example", "http://127.0.0.1:8000").replace(
        "mail.h.example", "localhost\n    tls: none"
    )
    assert parse(text, "a.yaml").alarms.webhook is not None


def test_files_are_beside_the_configuration_and_one_that_is_missing_is_named_but_no_ground_to_refuse(
    tmp_path: Path
) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text(GOOD)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mail").write_text("pw")
    configuration = load(path)
    (problem,) = check_files(configuration)
    assert str(problem) == (
        f"{path}:17: alarms.webhook.token_file: {tmp_path}/secrets/token cannot be read: No such file or directory; "
        "put it there, readable for the account of the node"
    )


def test_what_is_expected_of_a_source_changes_neither_results_nor_what_is_remembered_of_it() -> None:
    with_it, without = (parse(text, "a.yaml") for text in (GOOD, GOOD.replace(", days: [mon, fri]", "")))
    assert with_it.digest == without.digest
    assert with_it.peers["CT2"].digest == without.peers["CT2"].digest


def test_the_manual_shows_every_key_with_its_default() -> None:
    text = MANUAL.read_text()
    written = YAML(typ="safe").load(text)["alarms"]
    assert written.keys() == AlarmSettings.model_fields.keys()
    assert load(MANUAL).alarms == AlarmSettings()
    for section, model in (("mail", Mail), ("webhook", Webhook)):
        example = _example(text, section)
        assert example.keys() == {field.alias or name for name, field in model.model_fields.items()}
        model.model_validate(example)
    assert _example(text, "expect").keys() == Expectation.model_fields.keys()


def _example(text: str, section: str) -> dict[str, object]:
    """The commented example of a section."""
    lines = iter(text.splitlines())
    found = [next(line for line in lines if line.strip().startswith(f"#   {section}:"))]
    while (line := next(lines)).strip().startswith("#     "):
        found.append(line)
    return dict(YAML(typ="safe").load("\n".join(line.strip()[4:] for line in found))[section])
