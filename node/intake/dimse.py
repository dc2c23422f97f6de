"""The DICOM receiver: a storage and verification SCP that acknowledges nothing it could still lose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radnode.node.intake.acceptor import Acceptor, House
from radnode.node.intake.connection import Connection, Deadlines
from radnode.node.intake.guards import Listener, OncePerMinute, Seats

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from radnode.node.intake.admission import Admission
    from radnode.node.intake.normalized import CommitmentDesk
    from radnode.node.intake.storing import Storage
    from radnode.node.intake.tally import RefusalTally
    from radnode.node.observability import Metrics
    from radnode.node.security.certificates import Certificate
    from radnode.node.security.tls import ServerContexts


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Where to listen and how much to take. port 0: any free one. tls_port: in TLS, where there are contexts for it."""

    host: str
    port: int
    max_associations: int
    max_associations_per_host: int
    association_idle_s: float
    tls_port: int = 0
    deadlines: Deadlines = field(default_factory=Deadlines)


class DicomReceiver:
    """Listens between `start` and `stop`, beside the plain port on one with TLS if there are contexts for it.

    admit: decides on (calling AE title, called AE title, address, certificate), for each association anew.
    strangers: addresses that could not say who they are. listeners: by the setting that names their port.
    desk: of storage commitment.
    """

    def __init__(
        self,
        options: ReceiverOptions,
        *,
        admit: Callable[[str, str, str, Certificate | None], Admission],
        storage: Storage,
        metrics: Metrics,
        strangers: RefusalTally,
        tls: ServerContexts | None = None,
        desk: CommitmentDesk | None = None,
    ) -> None:
        self._house = House(
            admit=admit,
            seats=Seats(options.max_associations, options.max_associations_per_host),
            storage=storage,
            associations=storage.associations,
            idle_s=options.association_idle_s,
            metrics=metrics,
            quiet=OncePerMinute(),
            strangers=strangers,
            desk=desk,
        )
        ports: dict[str, tuple[int, Callable[[], ssl.SSLContext] | None]] = {"dicom_port": (options.port, None)}
        if tls is not None:
            ports["tls.port"] = (options.tls_port, tls.current)
        self.listeners = {
            setting: Listener(host=options.host, port=port, serve=self._serve, deadlines=options.deadlines,
                              strangers=strangers, tls=secured)
            for setting, (port, secured) in ports.items()
        }

    @property
    def port(self) -> int:
        """The port without TLS."""
        return self.listeners["dicom_port"].port

    @property
    def tls_port(self) -> int:
        """The port with TLS. Raises KeyError where there is none."""
        return self.listeners["tls.port"].port

    def start(self) -> None:
        """Listen on all. Raises OSError when an address is taken."""
        for listener in self.listeners.values():
            listener.start()

    def stop(self) -> None:
        """Accept no more; peers that send may go on for a while (:class:`Deadlines`), and what is being stored is
        still stored and answered, then every association is aborted.
        """
        for listener in self.listeners.values():
            listener.shut()
        for listener in self.listeners.values():
            listener.stop()

    def _serve(self, connection: Connection) -> None:
        Acceptor(connection, self._house).run()
