"""A test study: the phantom of a chest, sent to the node's own DICOM port as a scanner sends, marked as nobody's."""

from __future__ import annotations

import ipaddress
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from radnode.config.peers import Peer
from radnode.node.intake.admission import within
from radnode.node.sending import forward
from radnode.pipelines.ct_lung.phantom import SeriesHeader, chest_phantom, write_series

if TYPE_CHECKING:
    from radnode.config.loading import Configuration

PATIENT_ID, PATIENT_NAME = "RADNODE-TEST", "RADNODE^TEST"
DESCRIPTION = "TEST, NO PATIENT: phantom of chest, lung"
SLICES, SIZE = 120, 192
"""Small enough to be read in seconds without a GPU, large enough that a picture of it is worth looking at."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is compared, not bound


class NotSent(Exception):
    """The node did not take the test study; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent and acknowledged."""

    study_instance_uid: str
    images: int


def own_address(configuration: Configuration) -> str:
    """Where the node's DICOM port is reached from its own machine."""
    host = configuration.settings.host
    return "127.0.0.1" if host in _EVERYWHERE else host


def senders(configuration: Configuration) -> list[str]:
    """The sources in whose name this machine may send to the port without TLS."""
    address = own_address(configuration)
    return [
        name for name, peer in configuration.peers.items()
        if peer.sends and peer.client_certificate is None and _may_come_from(address, peer)
    ]


def send(configuration: Configuration, source: str, port: int) -> Sent:
    """Make a new test study and send it by C-STORE. Raises :class:`NotSent`, PeerUnreachable."""
    if source not in senders(configuration):
        raise NotSent(f"{source} is no source in whose name this machine may send")
    own = configuration.settings.ae_title
    target = Peer(name=own, ae_title=own, host=own_address(configuration), port=port, receives=True)
    phantom = chest_phantom(slices=SLICES, size=SIZE, seed=secrets.randbelow(2**31))
    header = SeriesHeader(patient_id=PATIENT_ID, patient_name=PATIENT_NAME, accession_number="TEST",
                          series_description=DESCRIPTION, name=secrets.token_hex(8))
    with tempfile.TemporaryDirectory(prefix="radnode-test-") as folder:
        files = write_series(phantom, Path(folder), header=header)
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        for _, status in forward(files, target, configuration.peers[source].ae_title):
            if status != 0:
                said = "gave no answer" if status is None else f"answered 0x{status:04X}"
                raise NotSent(f"the node {said} to an image of the test study; `radnode refused` says why")
    return Sent(study_instance_uid=study, images=len(files))


def _may_come_from(address: str, peer: Peer) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return not peer.hosts
    return within(address, peer.hosts)
