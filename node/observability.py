"""Log events and metrics: UIDs, digests and counts, never a patient attribute, never a received string unescaped."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FORBIDDEN_FIELDS = ("patient", "birth", "accession", "physician", "person_name")
LONGEST_VALUE = 512


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # pynetdicom describes peers in sentences of its own; our events say the same with escaped fields.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


class Metrics:
    """The counters that `/metrics` shows. Labels are configured names and enumerations, never received values."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = {"registry": self.registry, "namespace": "radnode"}
        self.associations = Counter("associations_total", "Associations by how they ended", ["ended"], **make)
        self.associations_open = Gauge("associations_open", "Associations open now", **make)
        self.instances_stored = Counter("instances_stored_total", "Instances acknowledged", ["source"], **make)
        self.instances_refused = Counter(
            "instances_refused_total", "Instances answered with a failure status", ["status"], **make
        )
        self.bytes_stored = Counter("bytes_stored_total", "Bytes of acknowledged instances", **make)
        self.headers_read = Counter("headers_read_total", "Headers read, by outcome", ["outcome"], **make)
        self.series_judged = Counter(
            "series_judged_total", "Series closed, held or in conflict", ["decision"], **make
        )
        self.jobs = Counter("jobs_total", "Jobs ended, by pipeline and state", ["pipeline", "state"], **make)
        self.job_seconds = Histogram(
            "job_seconds", "Wall seconds of a job in the worker", ["pipeline"],
            buckets=(1, 2, 5, 10, 20, 40, 80, 160, 320, 640), **make,
        )
        self.deliveries = Counter(
            "deliveries_total", "Delivery attempts by destination and outcome", ["destination", "outcome"], **make
        )
        self.ledger_difference = Gauge(
            "ledger_difference", "Acknowledged instances minus the sum of all states; not 0 is an alarm", **make
        )
        self.disk_free_bytes = Gauge("disk_free_bytes", "Free bytes on the instance store", **make)
        self.alarms = Gauge("alarms", "Alarms raised now", **make)
