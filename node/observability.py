"""Log events and metrics: UIDs, digests and counts, never a patient attribute, never a received string unescaped."""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FORBIDDEN_FIELDS = ("patient", "birth", "accession", "physician", "person_name")
LONGEST_VALUE = 512
NAMESPACE = "radnode"
MOST_REMEMBERED = 1000
_recent: deque[str] = deque(maxlen=MOST_REMEMBERED)


def _refuse_patient_fields(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A field named after a patient attribute is a programming mistake: it never reaches the sink."""
    for name in [name for name in event if any(word in name for word in FORBIDDEN_FIELDS)]:
        event[name] = "[not logged]"
    return event


def _escape(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control, bidirectional and other unprintable characters become escapes, so that no value can forge a line."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            value = value.encode("unicode_escape").decode("ascii")  # noqa: PLW2901
            event[name] = value
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            event[name] = value[:LONGEST_VALUE] + "…"
    return event


def _remember(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What may be logged may be kept for a while, for a diagnosis."""
    _recent.append(json.dumps(dict(event), default=str, ensure_ascii=False))
    return event


def recent_events() -> list[str]:
    """The last log events of this process, the oldest first, each as JSON."""
    return list(_recent)


class _Sink:
    """Standard error, as a place that may be full or gone: a line is lost there, never an image."""

    def __init__(self) -> None:
        self.failing = False

    def write(self, text: str) -> int:
        """Write if it can be written."""
        try:
            sys.stderr.write(text)
        except (OSError, ValueError):  # ValueError: it is closed
            self.failing = True
        return len(text)

    def flush(self) -> None:
        """Flush if it can be flushed."""
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            self.failing = True
        else:
            self.failing = False


_sink = _Sink()


def log_is_failing() -> bool:
    """Whether the last log line could not be written."""
    return _sink.failing


def configure_logging(*, as_json: bool, level: str = "INFO") -> None:
    """Send log events to standard error, one line each; for the process, once."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _refuse_patient_fields,
            _escape,
            _remember,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _sink)),
        cache_logger_on_first_use=False,
    )
    # pynetdicom describes peers in sentences of its own; our events say the same with escaped fields.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it quotes values


class Metrics:
    """The counters that `/metrics` shows. Labels are configured names and enumerations, never received values."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.associations = self._counter("associations", "Associations by how they ended", "ended")
        self.associations_open = self._gauge("associations_open", "Associations open now")
        self.instances_stored = self._counter("instances_stored", "Instances acknowledged", "source")
        self.instances_refused = self._counter("instances_refused", "Instances answered with a failure", "status")
        self.bytes_stored = self._counter("bytes_stored", "Bytes of acknowledged instances")
        self.statements = self._counter("database_statements", "Statements that this process sent to the database")
        self.headers_read = self._counter("headers_read", "Headers read, by outcome", "outcome")
        self.series_judged = self._counter("series_judged", "Series closed, held or in conflict", "decision")
        self.jobs = self._counter("jobs", "Jobs ended, by pipeline and state", "pipeline", "state")
        self.job_seconds = Histogram(
            "job_seconds",
            "Wall seconds of a job in the worker",
            ["pipeline"],
            namespace=NAMESPACE,
            registry=self.registry,
            buckets=(1, 2, 5, 10, 20, 40, 80, 160, 320, 640),
        )
        self.deliveries = self._counter(
            "deliveries", "Delivery attempts by destination and outcome", "destination", "outcome"
        )
        self.commitments = self._counter(
            "commitments", "What destinations said of results, asked for storage commitment", "destination", "said"
        )
        self.deliveries_now = self._gauge(
            "deliveries_now", "Deliveries by destination and state, once a round of the upkeep", "destination", "state"
        )
        self.outage_failures = self._gauge(
            "outage_failures", "Attempts in vain since a destination stopped answering; 0: it answers", "destination"
        )
        self.ledger_difference = self._gauge(
            "ledger_difference", "Acknowledged instances minus the sum of all states; not 0 is an alarm"
        )
        self.disk_free_bytes = self._gauge("disk_free_bytes", "Free bytes on the instance store")
        self.alarms = self._gauge("alarms", "Alarms raised now, by kind", "kind")
        self.alarms_told = self._counter("alarms_told", "Alarms by sink and whether it took them", "sink", "outcome")

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, namespace=NAMESPACE, registry=self.registry)
