"""The DICOM receiver: a storage and verification SCP that acknowledges nothing it could still lose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radnode.node.intake.acceptor import Acceptor, House
from radnode.node.intake.connection import Connection, Deadlines
from radnode.node.intake.guards import Listener, OncePerMinute, Seats
from radnode.node.intake.storing import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from radnode.node.intake.admission import Admission
    from radnode.node.intake.associations import Associations
    from radnode.node.observability import Metrics
    from radnode.storage.files import FileStore
    from radnode.storage.receptions import Reception, Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Where to listen and how much to take. port 0: any free one. largest_object: bytes of one data set."""

    host: str
    port: int
    max_associations: int
    max_associations_per_host: int
    largest_object: int
    association_idle_s: float
    deadlines: Deadlines = field(default_factory=Deadlines)


class DicomReceiver:
    """Listens between `start` and `stop`.

    admit: decides on (calling AE title, called AE title, address), for each association anew.
    record: writes a batch of receptions in one transaction and returns after the commit; from one thread at a
    time. on_recorded: called after each recorded object; must not block.
    """

    def __init__(
        self,
        options: ReceiverOptions,
        *,
        admit: Callable[[str, str, str], Admission],
        store: FileStore,
        record: Callable[[Sequence[Reception]], Sequence[Recorded]],
        associations: Associations,
        now: Callable[[], datetime],
        metrics: Metrics,
        on_recorded: Callable[[], None],
    ) -> None:
        self._storage = Storage(
            store=store,
            record=record,
            associations=associations,
            largest_object=options.largest_object,
            now=now,
            metrics=metrics,
            on_recorded=on_recorded,
        )
        self._house = House(
            admit=admit,
            seats=Seats(options.max_associations, options.max_associations_per_host),
            storage=self._storage,
            associations=associations,
            idle_s=options.association_idle_s,
            metrics=metrics,
            quiet=OncePerMinute(),
        )
        self._listener = Listener(host=options.host, port=options.port, serve=self._serve, deadlines=options.deadlines)
        self.port = options.port

    def start(self) -> int:
        """Listen; returns the port, which is also `port` from now on. Raises OSError when the address is
        taken.
        """
        self.port = self._listener.start()
        return self.port

    def stop(self) -> None:
        """Accept no more; what is being stored is still stored and answered, then every association is
        aborted.
        """
        self._listener.stop()

    def refused_lately(self) -> Mapping[str, int]:
        """Source -> how many of its objects were refused within the last hour for what they are."""
        return self._storage.refusals.lately()

    def _serve(self, connection: Connection) -> None:
        Acceptor(connection, self._house).run()
