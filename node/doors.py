"""Every way in: the DICOM port, the one in TLS and that of DICOMweb, on one store. `node/service.py` opens them."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from radnode.node.dicomweb.recognition import recognise
from radnode.node.dicomweb.server import WebOptions, WebReceiver
from radnode.node.intake.admission import Rejected, admit
from radnode.node.intake.callers import TurnedAway
from radnode.node.intake.dimse import DicomReceiver, ReceiverOptions
from radnode.node.intake.tally import RefusalTally
from radnode.node.security.tls import ServerContexts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.config.loading import Configuration
    from radnode.config.settings import Settings
    from radnode.node.alarms import Alarms
    from radnode.node.intake.admission import Admission
    from radnode.node.intake.normalized import CommitmentDesk
    from radnode.node.intake.storing import Storage
    from radnode.node.observability import Metrics
    from radnode.node.security.certificates import Certificate


class Doors:
    """Closed until each is opened. configuration: that in force, asked for each who comes.

    strangers: addresses that could not show who they are. turned_away: whom no association was opened for, by name.
    Raises TlsUnusable.
    """

    def __init__(
        self, *, configuration: Callable[[], Configuration], storage: Storage, alarms: Alarms, metrics: Metrics,
        desk: CommitmentDesk,
    ) -> None:
        self.strangers = RefusalTally(time.monotonic)
        self.turned_away = TurnedAway(time.monotonic)
        self._configuration = configuration
        self._alarms = alarms
        settings = configuration().settings
        self._dicom = DicomReceiver(
            ReceiverOptions(
                host=settings.host,
                port=settings.dicom_port,
                tls_port=settings.tls.port if settings.tls else 0,
                max_associations=settings.max_associations,
                max_associations_per_host=settings.max_associations_per_host,
                association_idle_s=settings.association_idle_s,
            ),
            admit=self._admit, storage=storage, metrics=metrics, strangers=self.strangers,
            tls=self._contexts(settings, ssl.CERT_REQUIRED), desk=desk,
        )
        self._web = self._dicomweb(settings, storage, metrics)

    def closed(self) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """The setting and the port of each, and what opens it, which raises OSError when an address is taken."""
        for setting, listener in self._dicom.listeners.items():
            yield setting, listener.port, listener.start
        if self._web is not None:
            yield "dicomweb.port", self._web.port, self._web.start

    def close(self) -> None:
        """Nobody comes in any more; what is being stored is still stored."""
        self._dicom.stop()
        if self._web is not None:
            self._web.stop()

    @property
    def dicom_port(self) -> int:
        """The port of the storage SCP without TLS."""
        return self._dicom.port

    def _dicomweb(self, settings: Settings, storage: Storage, metrics: Metrics) -> WebReceiver | None:
        web = settings.dicomweb
        if web is None:
            return None
        return WebReceiver(
            WebOptions(
                host=web.host, port=web.port, max_requests=settings.max_associations,
                max_requests_per_host=settings.max_associations_per_host,
            ),
            recognise=self._recognise, storage=storage, metrics=metrics, strangers=self.strangers,
            tls=self._contexts(settings, ssl.CERT_OPTIONAL) if web.tls else None,
        )

    def _contexts(self, settings: Settings, asks: ssl.VerifyMode) -> ServerContexts | None:
        return ServerContexts(settings.tls, asks=asks, on_unusable=self._tls_unusable) if settings.tls else None

    def _tls_unusable(self, why: str) -> None:
        if why:
            self._alarms.set("tls", f"the last good certificate is in force: {why}")
        else:
            self._alarms.clear("tls")

    def _admit(self, calling: str, called: str, host: str, certificate: Certificate | None) -> Admission:
        configuration = self._configuration()
        admission = admit(
            configuration.peers.values(),
            own_ae_title=configuration.settings.ae_title,
            accept_unknown=configuration.settings.accept_unknown_peers,
            called=called,
            calling=calling,
            host=host,
            certificate=certificate,
            managers=configuration.workitems.managers,
        )
        if isinstance(admission, Rejected):
            self.turned_away.note(calling, called, host, admission.why)
        return admission

    def _recognise(self, host: str, certificate: Certificate | None, authorization: str) -> str | None:
        peers = self._configuration().peers.values()
        return recognise(peers, host=host, certificate=certificate, authorization=authorization)
