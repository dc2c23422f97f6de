"""The configuration file is changed in one step, by one author at a time, and every version is kept."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from support.rows import NOW
from typer.testing import CliRunner

from radnode.config.loading import ConfigError
from radnode.node.cli import app
from radnode.node.configuring import ConfigurationDesk, NoSuchVersion, NotWritable, Stale, concealed, digest_of
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ruamel.yaml.comments import CommentedMap

TEXT = """\
node: {data: data}   # beside the file
peers:
  PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}
routes:
  # the chest
  - name: chest
    when: {modality: CT}
    run: [ct-lung]
    send: [PACS]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "radnode.yaml"
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.fixture
def desk(file: Path) -> Iterator[ConfigurationDesk]:
    (file.parent / "data").mkdir()
    database = Database(f"sqlite:///{file.parent / 'data' / 'radnode.db'}")
    database.upgrade()
    yield ConfigurationDesk(path=file, database=database, now=lambda: NOW)
    database.close()


def disable(document: CommentedMap) -> None:
    document["routes"][0]["enabled"] = False


def run_what_there_is_not(document: CommentedMap) -> None:
    document["routes"][0]["run"] = ["ct-lnug"]


def test_a_change_is_in_the_file_with_its_comments_owner_and_mode(desk: ConfigurationDesk, file: Path) -> None:
    was = file.stat()
    made = desk.change(disable, author="anna", note="maintenance", seen=desk.digest)
    assert file.read_text(encoding="utf-8") == TEXT + "    enabled: false\n"
    now = file.stat()
    assert (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) == (0o640, was.st_uid, was.st_gid)
    assert made.digest == desk.digest
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".")] == []


def test_what_stood_there_before_the_first_change_is_a_version_too(desk: ConfigurationDesk) -> None:
    desk.change(disable, author="anna", note="maintenance", seen=desk.digest)
    newest, first = desk.versions()
    assert (newest.author, newest.note, newest.at) == ("anna", "maintenance", NOW)
    assert (first.author, desk.version(first.version_id)[1]) == ("file", TEXT)
    assert desk.diff(first.version_id)[-1] == "+    enabled: false"


@pytest.mark.catalogue("C8")
def test_of_two_who_saw_the_same_text_the_second_is_told(desk: ConfigurationDesk, file: Path) -> None:
    seen = desk.digest
    desk.change(disable, author="anna", note="", seen=seen)
    with pytest.raises(Stale, match="changed by anna at"):
        desk.change(disable, author="ben", note="", seen=seen)
    file.write_text(TEXT + "# by hand\n", encoding="utf-8")
    with pytest.raises(Stale, match="changed by file"):
        desk.change(disable, author="ben", note="", seen=digest_of(TEXT))


@pytest.mark.catalogue("C8")
def test_of_two_who_change_it_at_once_one_is_told_and_nothing_of_the_other_is_lost(
    desk: ConfigurationDesk, file: Path
) -> None:
    """Each from a process of its own: what they share is the file and the tables."""
    beside = Database(f"sqlite:///{file.parent / 'data' / 'radnode.db'}")
    desks = {"anna": desk, "ben": ConfigurationDesk(path=file, database=beside, now=lambda: NOW)}
    seen, ready = desk.digest, Barrier(len(desks))

    def change(author: str) -> str:
        def name_it(document: CommentedMap) -> None:
            document["routes"][0]["name"] = author

        ready.wait()
        try:
            return desks[author].change(name_it, author=author, note="", seen=seen).author
        except Stale as told:
            return str(told)

    with ThreadPoolExecutor() as at_once:
        answers = dict(zip(desks, at_once.map(change, desks), strict=True))
    beside.close()

    (winner,) = [author for author, said in answers.items() if said == author]
    (told,) = [said for author, said in answers.items() if author != winner]
    assert told.startswith(f"the configuration was changed by {winner} at ")
    assert file.read_text(encoding="utf-8") == TEXT.replace("name: chest", f"name: {winner}")
    assert [each.author for each in desk.versions()] == [winner, "file"]


def test_what_radnode_check_would_refuse_changes_nothing(desk: ConfigurationDesk, file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        desk.change(run_what_there_is_not, author="anna", note="", seen=desk.digest)
    problem, = refused.value.problems
    assert (problem.line, problem.cure) == (8, 'did you mean "ct-lung"?')
    assert file.read_text(encoding="utf-8") == TEXT
    with pytest.raises(ConfigError, match="a key stands twice"):
        desk.replace("node: {a: 1, a: 2}\n", author="anna", note="", seen=desk.digest)


def test_a_file_that_was_missing_before_does_not_stand_in_the_way_of_another_change(
    desk: ConfigurationDesk, file: Path
) -> None:
    def secret(document: CommentedMap) -> None:
        document["alarms"] = {"webhook": {"url": "https://example.org/", "ca_file": "not-there"}}

    with pytest.raises(ConfigError, match="not-there cannot be read"):
        desk.change(secret, author="anna", note="", seen=desk.digest)
    file.write_text(desk.drafted(TEXT, secret), encoding="utf-8")
    desk.change(disable, author="anna", note="", seen=desk.digest)


def test_a_failed_write_leaves_the_file_and_the_versions_as_they_were(
    desk: ConfigurationDesk, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    seen = desk.digest
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritable, match="No space left on device"):
        desk.change(disable, author="anna", note="", seen=seen)
    monkeypatch.undo()
    assert file.read_text(encoding="utf-8") == TEXT
    assert [each.author for each in desk.versions()] == ["file"]
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".")] == []


def test_a_read_only_file_and_no_file_at_all_are_refused_with_a_sentence(
    desk: ConfigurationDesk, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.why_read_only() == ""
    monkeypatch.setattr(os, "access", lambda path, how: path != file)  # root may write everything
    with pytest.raises(NotWritable, match="the file is read-only for the account of the node; give"):
        desk.change(disable, author="anna", note="", seen=desk.digest)
    without = ConfigurationDesk(path=None, database=desk._database, now=lambda: NOW)
    assert "started without a configuration file" in without.why_read_only()
    without.note_file()


def test_a_rollback_is_a_new_version_and_is_taken_over_at_once(file: Path, desk: ConfigurationDesk) -> None:
    seen: list[str] = []
    desk = ConfigurationDesk(path=file, database=desk._database, now=lambda: NOW,
                             take_over=lambda: seen.append(file.read_text(encoding="utf-8")))
    desk.change(disable, author="anna", note="", seen=desk.digest)
    first = desk.versions()[-1]
    made = desk.rollback(first.version_id, author="ben", note="too early", seen=desk.digest)
    assert (made.version_id, made.note) == (3, "back to version 1: too early")
    assert seen[-1] == TEXT
    with pytest.raises(NoSuchVersion):
        desk.rollback(99, author="ben", note="", seen=desk.digest)


def test_the_command_line_lists_compares_and_goes_back(desk: ConfigurationDesk, file: Path) -> None:
    desk.change(disable, author="anna", note="maintenance", seen=desk.digest)

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["config", *arguments, "--config", str(file)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "maintenance" in said("versions", "--json")
    assert said("show", "1") == TEXT
    assert "+    enabled: false" in said("diff", "1")
    assert "the text of version 1" in said("rollback", "1")
    assert file.read_text(encoding="utf-8") == TEXT
    assert CliRunner().invoke(app, ["config", "show", "9", "--config", str(file)]).exit_code == 1


def test_a_password_in_an_address_is_not_shown() -> None:
    assert concealed("database_url: postgresql://radnode:s3cr:et@db/x\n") == "database_url: postgresql://radnode:***@db/x\n"


def test_a_draft_in_plain_data_is_refused_as_its_text_is_and_the_file_is_read_again_once_it_changes(
    desk: ConfigurationDesk, file: Path
) -> None:
    def unknown(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "routes": [{**document["routes"][0], "run": ["ct-lnug"]}]}

    with pytest.raises(ConfigError) as of_data:
        desk.check_data(unknown)
    with pytest.raises(ConfigError) as of_text:
        desk.check(desk.drafted(desk.text(), run_what_there_is_not))
    assert str(of_data.value) == str(of_text.value)
    assert [each.name for each in desk.check_data(dict).routes] == ["chest"]
    file.write_text(TEXT.replace("name: chest", "name: thorax"), encoding="utf-8")
    assert [each.name for each in desk.check_data(dict).routes] == ["thorax"]
    file.write_text("routes: [", encoding="utf-8")
    with pytest.raises(ConfigError):
        desk.check_data(dict)
