"""A model's zip file from the network: over HTTPS alone, no larger than agreed, with the digest that was agreed.

Proxies are those of the environment (HTTPS_PROXY, NO_PROXY); trusted are the authorities of the system, or those in
SSL_CERT_FILE.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from radnode.pipelines.models.store import MOST_BYTES, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"
"""Models that come with radnode."""
INDEX = "https://raw.githubusercontent.com/Project-MONAI/model-zoo/dev/models/model_info.json"
"""Where the MONAI Model Zoo lists its releases: name and version -> where it lies, and its SHA-1."""
SILENCE_S = 60.0
_LONGEST_INDEX = 16 * 1024 * 1024
_ZOO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*(_v[\d.]+)?")
_PIECE = 1024 * 1024
_BY_HAND = "or bring its folder or zip file by hand: radnode models add PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A folder or a zip file on this machine. sha256: what its digest must be, if that is still to be compared."""

    path: Path
    sha256: str | None


@contextmanager
def brought(source: str, sha256: str | None) -> Iterator[Brought]:
    """What an administrator names: a path, a URL, a model that comes with radnode, a name in the zoo.

    What was fetched is gone afterwards. Raises StoreError.
    """
    path, shipped = Path(source), EXAMPLES / source
    if "://" not in source and (path.exists() or not _ZOO_NAME.fullmatch(source)):
        if not path.exists():
            raise StoreError(f"{source!a} is not there: neither a folder nor a zip file, an https URL or a name")
        yield Brought(path=path, sha256=sha256)
    elif "://" not in source and shipped.is_dir():
        yield Brought(path=shipped, sha256=sha256)
    else:
        with tempfile.TemporaryDirectory(prefix="radnode-model-") as folder:
            url, sha1 = (source, None) if "://" in source else release(source)
            name = re.sub(r"[^\w.-]", "_", PurePosixPath(urlsplit(url).path).name)[-100:].lstrip(".") or "model"
            fetch(url, Path(folder) / name, sha256=sha256, sha1=sha1)
            yield Brought(path=Path(folder) / name, sha256=None)


def fetch(
    url: str, target: Path, *, sha256: str | None = None, sha1: str | None = None, most: int = MOST_BYTES
) -> None:
    """The file at a URL. sha256, sha1: one of them at least. Raises StoreError; then `target` may hold a part of it."""
    if sha256 is None and sha1 is None:
        raise StoreError(f"a model from a URL needs the digest that its authors publish (--sha256); {_BY_HAND}")
    digests = {wanted.lower(): hashlib.new(kind, usedforsecurity=False)
               for kind, wanted in (("sha256", sha256), ("sha1", sha1)) if wanted is not None}
    with target.open("wb") as file:
        def keep(piece: bytes) -> None:
            for digest in digests.values():
                digest.update(piece)
            file.write(piece)

        _read(url, keep, most)
    for wanted, digest in digests.items():
        if digest.hexdigest() != wanted:
            raise StoreError(f"what {_host(url)} sent is not what was announced: its {digest.name.upper()} is "
                             f"{digest.hexdigest()}, not {wanted}; do not use it, ask its authors")


def release(name: str, index: str = "") -> tuple[str, str]:
    """Where a model of the zoo lies, and its SHA-1. name: as the zoo has it (its newest version), or NAME_v1.2.3.

    index: a URL, :data:`INDEX` by default. Raises StoreError for a name that is not there, with those that resemble it.
    """
    pieces: list[bytes] = []
    _read(index or INDEX, pieces.append, _LONGEST_INDEX)
    try:
        entries = json.loads(b"".join(pieces))
        versions = {key: (str(each["source"]), str(each["checksum"])) for key, each in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"the index of the zoo cannot be read ({type(error).__name__}); {_BY_HAND}") from error
    if name in versions:
        return versions[name]
    of_name = [key for key in versions if re.fullmatch(rf"{re.escape(name)}_v[\d.]+\w*", key)]
    if not of_name:
        first = name.partition("_")[0]
        like = sorted({key.rpartition("_v")[0] for key in versions if first in key})
        raise StoreError(f"the zoo has no model {name!a}" + (f"; it has {', '.join(like[:8])}" if like else ""))
    return versions[max(of_name, key=_version)]


def _version(key: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", key.rpartition("_v")[2])]


class _OnlyToHttps(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        try:
            _refuse_unless_https(newurl)
        except StoreError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(url: str, keep: Callable[[bytes], object], most: int) -> None:
    """Hand over what lies at a URL, piece by piece."""
    _refuse_unless_https(url)
    opener = build_opener(HTTPSHandler(context=ssl.create_default_context()), _OnlyToHttps)
    try:
        with opener.open(Request(url, headers={"User-Agent": "radnode"}), timeout=SILENCE_S) as answer:  # noqa: S310
            announced, size = str(answer.headers.get("Content-Length", "")), 0
            expected = int(announced) if announced.isdigit() else None
            _refuse_more_than(most, expected or 0, url)
            while piece := answer.read(_PIECE):
                size += len(piece)
                _refuse_more_than(most, size, url)
                keep(piece)
            if expected not in (None, size):
                raise StoreError(f"{_host(url)} broke off after {size} of {expected} bytes; try again")
    except HTTPError as error:
        error.close()
        raise StoreError(f"{_host(url)} answers {error.code} to the request for the model; check its address, "
                         f"{_BY_HAND}") from error
    except (URLError, TimeoutError, http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise StoreError(f"the certificate of {_host(url)} is not trusted ({reason.verify_message}); name the file "
                             f"of your authority in SSL_CERT_FILE, {_BY_HAND}") from error
        raise StoreError(f"{_host(url)} cannot be reached ({type(reason).__name__}: {reason}); if there is a proxy, "
                         f"name it in HTTPS_PROXY, {_BY_HAND}") from error


def _refuse_more_than(most: int, size: int, url: str) -> None:
    if size > most:
        raise StoreError(f"what {_host(url)} sends is larger than {most >> 20} MiB, the most that a model may have")


def _refuse_unless_https(url: str) -> None:
    if urlsplit(url).scheme.lower() != "https" or not urlsplit(url).hostname:
        raise StoreError(f"{_host(url)} would send the model without encryption; only https is used, {_BY_HAND}")


def _host(url: str) -> str:
    """The part of a URL that may be shown: no password, no token."""
    return urlsplit(url).hostname or "the address"
