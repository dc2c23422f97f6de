"""Sends a folder of DICOM files to a peer, as a modality or a PACS would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import InvalidDicomError

from radnode.config.peers import Peer
from radnode.node.association import PeerUnreachable, associate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from radnode.config.loading import Configuration

MOST_CONTEXTS = 128
"""PS3.8 9.3.2: presentation context identifiers are the odd numbers from 1 to 255."""


@dataclass(slots=True)
class SendReport:
    """What became of the files of a folder."""

    stored: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def send_folder(folder: Path, to: str, configuration: Configuration) -> SendReport:
    """C-STORE every DICOM file below a folder to a configured peer, or to this node itself under its AE title.

    Raises :class:`PeerUnreachable`.
    """
    settings = configuration.settings
    if to == settings.ae_title:
        peer = Peer(name=to, ae_title=to, host="127.0.0.1", port=settings.dicom_port, receives=True)
    elif to in configuration.peers:
        peer = configuration.peers[to]
    else:
        known = ", ".join([*configuration.peers, settings.ae_title])
        raise PeerUnreachable(f"no peer is named {to!r}; the configuration names {known}")
    if peer.dicomweb:
        raise PeerUnreachable(f"{to} is reached by DICOMweb; this command sends by C-STORE")
    files, skipped = dicom_files(folder)
    report = SendReport(skipped=skipped)
    for path, status in forward(files, peer, settings.ae_title):
        if status is not None and (status == 0 or status >> 12 == 0xB):
            report.stored += 1
        else:
            report.refused.append((path, "no answer" if status is None else f"status 0x{status:04X}"))
    return report


def dicom_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder that are DICOM, and the others; both in the order of their names."""
    files, others = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            others.append(path)
        else:
            files.append(path)
    return files, others


def forward(paths: Sequence[Path], peer: Peer, calling_ae: str) -> Iterator[tuple[Path, int | None]]:
    """C-STORE files over one association, one after the other; yields each with the status answered (None: none).

    Raises :class:`PeerUnreachable`.
    """
    proposed: dict[str, set[str]] = {}
    for path in paths:
        meta = pydicom.filereader.read_file_meta_info(path)
        proposed.setdefault(str(meta.MediaStorageSOPClassUID), set()).add(str(meta.TransferSyntaxUID))
    contexts = [
        (sop_class, [transfer_syntax])
        for sop_class, transfer_syntaxes in sorted(proposed.items())
        for transfer_syntax in sorted(transfer_syntaxes)
    ]
    if not contexts:
        return
    with associate(peer, calling_ae, contexts[:MOST_CONTEXTS]) as association:
        for path in paths:
            try:
                status = association.send_c_store(pydicom.dcmread(path)).get("Status")
            except (ValueError, RuntimeError) as error:
                raise PeerUnreachable(f"{peer.name} does not take {path.name}: {error}") from error
            yield path, None if status is None else int(status)
