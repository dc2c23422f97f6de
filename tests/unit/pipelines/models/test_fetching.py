"""A model from the network: encrypted, of the announced size and digest, from whom it was asked."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from support import https
from support.https import Answer
from support.network import free_port

from radnode.pipelines.models import fetching
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b"a model" * 1000
SHA256, SHA1 = hashlib.sha256(BODY).hexdigest(), hashlib.sha1(BODY, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[https.Server]:
    with https.https_server(tmp_path_factory.mktemp("https")) as server:
        yield server


@pytest.fixture
def server(running: https.Server, monkeypatch: pytest.MonkeyPatch) -> https.Server:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
    running.answers.clear()
    running.answers["/model.zip"] = Answer(body=BODY)
    running.asked.clear()
    return running


def index(server: https.Server) -> str:
    releases = {
        "spleen_ct_segmentation_v0.5.9": {"source": f"{server.url}/old.zip", "checksum": "0" * 40},
        "spleen_ct_segmentation_v0.5.10": {"source": f"{server.url}/model.zip", "checksum": SHA1},
        "spleen_deepedit_annotation_v0.9.9": {"source": f"{server.url}/other.zip", "checksum": "0" * 40},
    }
    server.answers["/index.json"] = Answer(body=json.dumps(releases).encode())
    return f"{server.url}/index.json"


def test_a_file_with_the_announced_digest_is_kept(server: https.Server, tmp_path: Path) -> None:
    fetching.fetch(f"{server.url}/model.zip", tmp_path / "model.zip", sha256=SHA256.upper())
    assert (tmp_path / "model.zip").read_bytes() == BODY


def test_what_is_fetched_is_there_for_as_long_as_it_is_needed(server: https.Server) -> None:
    with fetching.brought(f"{server.url}/model.zip", SHA256) as found:
        assert (found.path.name, found.path.read_bytes(), found.sha256) == ("model.zip", BODY, None)
    assert not found.path.exists()


def test_a_redirect_to_https_is_followed(server: https.Server, tmp_path: Path) -> None:
    server.answers["/moved"] = Answer(status=302, location=f"{server.url}/model.zip")
    fetching.fetch(f"{server.url}/moved", tmp_path / "model.zip", sha256=SHA256)
    assert (tmp_path / "model.zip").read_bytes() == BODY


@pytest.mark.parametrize("target", ["http://localhost/model.zip", "file:///etc/passwd", "ftp://localhost/model.zip"])
def test_a_redirect_to_anything_else_is_refused(server: https.Server, tmp_path: Path, target: str) -> None:
    server.answers["/moved"] = Answer(status=302, location=target)
    with pytest.raises(StoreError, match=r"only https|answers 302"):
        fetching.fetch(f"{server.url}/moved", tmp_path / "model.zip", sha256=SHA256)
    assert server.asked == ["/moved"]


@pytest.mark.parametrize("url", ["http://localhost/model.zip", "file:///etc/passwd", "https:///model.zip"])
def test_an_address_that_is_not_https_is_not_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match="only https"):
        fetching.fetch(url, tmp_path / "model.zip", sha256=SHA256)


def test_a_url_without_a_digest_is_not_asked(server: https.Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--sha256"):
        fetching.fetch(f"{server.url}/model.zip", tmp_path / "model.zip")
    assert server.asked == []


def test_another_digest_than_announced_is_refused_with_both(server: https.Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{SHA256}, not {'0' * 64}"):
        fetching.fetch(f"{server.url}/model.zip", tmp_path / "model.zip", sha256="0" * 64)


@pytest.mark.parametrize("length", [None, 10**12])
def test_a_file_larger_than_a_model_may_be_is_refused(server: https.Server, tmp_path: Path, length: int | None) -> None:
    server.answers["/large"] = Answer(body=b"x" * 3000, length=length)
    with pytest.raises(StoreError, match="larger than"):
        fetching.fetch(f"{server.url}/large", tmp_path / "model.zip", sha256=SHA256, most=2000)
    assert (tmp_path / "model.zip").stat().st_size <= 2000


def test_a_file_that_breaks_off_is_refused(server: https.Server, tmp_path: Path) -> None:
    server.answers["/short"] = Answer(body=BODY, length=len(BODY) + 1)
    with pytest.raises(StoreError, match=f"broke off after {len(BODY)} of"):
        fetching.fetch(f"{server.url}/short", tmp_path / "model.zip", sha256=SHA256)


def test_a_server_whose_authority_is_unknown_is_not_believed(
    server: https.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StoreError, match="SSL_CERT_FILE"):
        fetching.fetch(f"{server.url}/model.zip", tmp_path / "model.zip", sha256=SHA256)
    assert server.asked == []


def test_a_server_of_another_name_is_not_believed(server: https.Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not trusted"):
        fetching.fetch(server.url.replace("localhost", "127.0.0.1") + "/model.zip", tmp_path / "m", sha256=SHA256)


def test_a_server_that_is_not_there_says_how_else_a_model_comes(server: https.Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be reached.*HTTPS_PROXY.*radnode models add PATH"):
        fetching.fetch(f"https://localhost:{free_port()}/model.zip", tmp_path / "model.zip", sha256=SHA256)


def test_a_missing_file_says_so_and_no_token_of_its_address(server: https.Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="localhost answers 404") as raised:
        fetching.fetch(f"{server.url}/gone.zip?token=secret", tmp_path / "model.zip", sha256=SHA256)
    assert "secret" not in str(raised.value)


def test_the_proxy_of_the_environment_is_asked(
    server: https.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with https.connect_proxy() as (proxy, reached):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        fetching.fetch(f"{server.url}/model.zip", tmp_path / "model.zip", sha256=SHA256)
    assert reached == [server.url.removeprefix("https://")]
    assert (tmp_path / "model.zip").read_bytes() == BODY


def test_a_name_is_the_newest_release_of_the_zoos_index(server: https.Server) -> None:
    assert fetching.release("spleen_ct_segmentation", index(server)) == (f"{server.url}/model.zip", SHA1)
    assert fetching.release("spleen_ct_segmentation_v0.5.9", index(server))[0] == f"{server.url}/old.zip"


def test_a_name_that_the_zoo_has_not_is_answered_with_names_like_it(server: https.Server) -> None:
    with pytest.raises(StoreError, match="it has spleen_ct_segmentation, spleen_deepedit_annotation"):
        fetching.release("spleen_mr", index(server))


def test_an_index_that_is_none_is_refused(server: https.Server) -> None:
    server.answers["/index.json"] = Answer(body=b"<html>Sign in to the guest network</html>")
    with pytest.raises(StoreError, match="index of the zoo cannot be read"):
        fetching.release("spleen_ct_segmentation", f"{server.url}/index.json")


def test_a_model_of_the_zoo_is_compared_with_the_digest_of_its_index(
    server: https.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "INDEX", index(server))
    with fetching.brought("spleen_ct_segmentation", None) as found:
        assert found.path.read_bytes() == BODY
    server.answers["/model.zip"] = Answer(body=BODY + b"more")
    with pytest.raises(StoreError, match="SHA1"), fetching.brought("spleen_ct_segmentation", None):
        pass


def test_a_path_that_is_not_there_is_not_looked_for_in_the_zoo(server: https.Server) -> None:
    with pytest.raises(StoreError, match="neither a folder"), fetching.brought("models/spleen.zip", None):
        pass
    assert server.asked == []


def test_a_model_that_comes_with_radnode_needs_no_network(server: https.Server) -> None:
    with fetching.brought("phantom_lungs", None) as found:
        assert (found.path / "configs" / "metadata.json").is_file()
    assert server.asked == []
