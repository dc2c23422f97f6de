"""What the node fetches by itself: archives that it may ask, pulls by schedule, folders, and priors of a route."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from radnode.config.alarms import THIS_MACHINE
from radnode.config.durations import DAYS, Day, Duration, Hours
from radnode.config.patterns import wrong_pattern
from radnode.config.peers import Entry, Peer, Section, Size, empty_or_section
from radnode.config.routes import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from radnode.config.routes import Route

SECTIONS = ("archives", "pulls", "folders")

Model = TypeVar("Model", bound=Section)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("write the whole address, for example https://pacs.hospital.example/dicom-web")
    if parts.username is not None or parts.password is not None or parts.fragment or parts.query:
        raise ValueError("neither a user nor ? nor # belongs into it; a password goes into `password_file`")
    return value.rstrip("/")


def _cron(value: str) -> str:
    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except ValueError:
        raise ValueError('five fields as of cron, for example "*/15 * * * *" or "0 20 * * mon-fri"') from None
    return value


def _pattern(value: str) -> str:
    if wrong := wrong_pattern(value):
        raise ValueError(f"{wrong[0]}; {wrong[1]}")
    return value


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


Modality = Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,16}$")]
Modalities = Annotated[tuple[Modality, ...], BeforeValidator(_one_or_more)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class Web(Section):
    """QIDO-RS and WADO-RS (PS3.18 10.6, 10.4). ca_file: stands for the authorities of the machine."""

    url: Annotated[str, AfterValidator(_url)]
    token_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def host(self) -> str:
        """The machine that is asked."""
        return urlsplit(self.url).hostname or ""


class Archive(Entry):
    """Who may be asked for images: a peer of the same name by DIMSE, or an address of DICOMweb.

    associations: at most so many at a time. images_per_minute: None without a limit.
    """

    name: Name
    retrieve: Literal["c-move", "c-get"] = "c-move"
    dicomweb: Annotated[Web | None, BeforeValidator(empty_or_section)] = None
    associations: Annotated[int, Field(ge=1, le=16)] = 1
    images_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @field_validator("dicomweb")
    @classmethod
    def _one_of_both(cls, value: Web | None, info: ValidationInfo) -> Web | None:
        if value is not None and "retrieve" in info.data and info.data["retrieve"] == "c-get":
            raise ValueError("what has `dicomweb` is asked by it; leave out `retrieve`")
        return value


class Pull(Section):
    """A question to an archive that is asked again and again: studies of the last days, of these modalities."""

    name: Name
    source: Annotated[str, Field(alias="from")]
    schedule: Annotated[str, AfterValidator(_cron)]
    window: Duration
    modality: Modalities = ()
    study_description: Annotated[str, AfterValidator(_pattern)] | None = None
    between: Hours | None = None
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    enabled: bool = True


class Folder(Entry):
    """A folder whose DICOM files, directories and zip archives are taken. The name is the source of what lies there."""

    name: Name
    path: Path
    stable: Duration = Field(default="5 s", validate_default=True)
    largest: Size = 20 * 10**9


class Priors(Section):
    """Earlier studies of the same patient for the pipelines of a route.

    source: the archive that is asked; None: the one that sent the study. wait: how long a job waits for them.
    """

    source: Annotated[str | None, Field(alias="from")] = None
    studies: Annotated[int, Field(ge=1, le=8)] = 1
    years: Annotated[float, Field(gt=0, le=100)] = 5.0
    same: Annotated[tuple[Literal["modality", "body_part"], ...], BeforeValidator(_one_or_more)] = (
        "modality", "body_part",
    )  # fmt: skip
    wait: Duration = Field(default="10 min", validate_default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieving:
    """The sections `archives`, `pulls` and `folders`."""

    archives: Mapping[str, Archive] = field(default_factory=dict)
    pulls: tuple[Pull, ...] = ()
    folders: tuple[Folder, ...] = ()

    @property
    def sources(self) -> set[str]:
        """Names under which images come that no peer has: of DICOMweb archives, and of folders."""
        return {*(name for name, each in self.archives.items() if each.dicomweb), *(each.name for each in self.folders)}


class ReadModel(Protocol):
    """Reads the keys of a section, or takes note of what is wrong with them."""

    def __call__(self, model: type[Model], fields: dict[str, Any], path: Sequence[str | int], /) -> Model | None:
        """The section, None after its mistakes were reported."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader of a configuration offers a section. report: takes (path, what is wrong, what would be right)."""

    report: Callable[[Sequence[str | int], str, str], None]
    model: ReadModel


def read(document: Mapping[str, Any], reading: Reading, folder: Path) -> Retrieving:
    """The three sections of a document. folder: what files and paths are relative to."""
    archives = {}
    for name, fields in _mapping(document, "archives", reading).items():
        section = {} if fields is None else fields
        if not isinstance(section, dict):
            reading.report(["archives", name], "not a mapping", "write for example `retrieve: c-move` below it")
        elif archive := reading.model(Archive, {**section, "name": str(name)}, ["archives", name]):
            archives[str(name)] = archive.beside(folder)
    archives = {name: each for name, each in archives.items() if each.enabled}
    pulls = _list(document, "pulls", Pull, reading)
    folders = [each.beside(folder) for each in _list(document, "folders", Folder, reading) if each.enabled]
    return Retrieving(archives=archives, pulls=tuple(pulls), folders=tuple(folders))


def priors(section: object, reading: Reading, path: Sequence[str | int]) -> Priors | None:
    """What a route says under `priors`."""
    if section is None:
        return None
    if not isinstance(section, dict):
        reading.report(path, "not a mapping", "write for example `priors: {from: PACS1, studies: 1}`")
        return None
    return reading.model(Priors, section, path)


def contradictions(
    found: Retrieving, peers: Mapping[str, Peer], routes: Sequence[Route]
) -> Iterator[tuple[list[str | int], str, str]]:
    """Where, what each key alone allows but not all of them together, and what would be right."""
    yield from _of_archives(found, peers)
    for number, pull in enumerate(found.pulls):
        if pull.source not in found.archives:
            yield ["pulls", number, "from"], f'no archive is named "{pull.source}"', _nearest(pull.source, found)
    taken: dict[Path, str] = {}
    for number, watched in enumerate(found.folders):
        if watched.name in peers:
            yield ["folders", number, "name"], "a peer has this name", "give the folder another: it is their source"
        if watched.path in taken:
            yield ["folders", number, "path"], f"the folder of {taken[watched.path]}", "write it once"
        taken[watched.path] = watched.name
    for number, route in enumerate(routes):
        source = route.priors.source if route.priors else None
        if route.priors and not found.archives:
            yield ["routes", number, "priors"], "there is no archive to ask", "write it under `archives:`"
        elif source is not None and source not in found.archives:
            yield ["routes", number, "priors", "from"], f'no archive is named "{source}"', _nearest(source, found)


def _of_archives(found: Retrieving, peers: Mapping[str, Peer]) -> Iterator[tuple[list[str | int], str, str]]:
    for name, archive in found.archives.items():
        web, peer = archive.dicomweb, peers.get(name)
        if web is not None:
            if (web.token_file or web.password_file) and web.url.startswith("http:") and web.host not in THIS_MACHINE:
                yield ["archives", name, "dicomweb", "url"], "anybody on the way could read the secret", "write https:"
            if (web.user is None) != (web.password_file is None):
                given, absent = ("user", "password_file") if web.user else ("password_file", "user")
                yield ["archives", name, "dicomweb", given], f"without {absent}", f"write `{absent}: …` beside it"
            if (web.certificate is None) != (web.key is None):
                given, absent = ("certificate", "key") if web.certificate else ("key", "certificate")
                yield ["archives", name, "dicomweb", given], f"without {absent}", f"write `{absent}: …` beside it"
        elif peer is None:
            yield (["archives", name], f'no peer is named "{name}"',
                   nearest(name, peers) or "an archive is a peer under the same name, or has `dicomweb`")
        elif archive.retrieve == "c-move" and not peer.sends:
            yield (["archives", name, "retrieve"], "by C-MOVE the peer sends the images itself",
                   f"write `sends: true` at peers.{name}, or `retrieve: c-get`")


def files(found: Retrieving) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The files that the archives name, and where."""
    for name, archive in found.archives.items():
        for key in ("token_file", "password_file", "ca_file", "certificate", "key"):
            if archive.dicomweb and (path := getattr(archive.dicomweb, key)):
                yield ("archives", name, "dicomweb", key), path


def _nearest(name: str, found: Retrieving) -> str:
    return nearest(name, found.archives) or f"archives are {', '.join(found.archives) or 'none'}"


def _mapping(document: Mapping[str, Any], key: str, reading: Reading) -> Mapping[str, Any]:
    value = document.get(key)
    if value is not None and not isinstance(value, dict):
        reading.report([key], "not a mapping", "write a name, and its keys below it")
    return value if isinstance(value, dict) else {}


def _list(document: Mapping[str, Any], key: str, model: type[Model], reading: Reading) -> list[Model]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        reading.report([key], "not a list", "begin each with `- name: …`")
        return []
    found: dict[str, Model] = {}
    for number, fields in enumerate(value):
        if not isinstance(fields, dict):
            reading.report([key, number], "not a mapping", "begin it with `- name: …`")
        elif section := reading.model(model, fields, [key, number]):
            name = str(section.name)  # type: ignore[attr-defined]
            if name in found:
                reading.report([key, number, "name"], f'a second one is named "{name}"', "give it its own name")
            found[name] = section
    return list(found.values())
