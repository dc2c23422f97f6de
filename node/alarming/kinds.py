"""Every kind of alarm: how bad, when, and what to do. docs/alarms.md is made of this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["critical", "error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. about: what the word after the colon of its name is, empty where there is none.

    quotes: the text may repeat words of a peer, a file or an exception; whom we tell gets `says` instead of it.
    """

    name: str
    severity: Severity
    about: str = ""
    says: str
    remedy: str
    quotes: bool = False


_ALL = (
    Kind(
        name="ledger", severity="critical",
        says="acknowledged images and their states do not sum up",
        remedy="stop the node, keep a copy of its database, and compare it with a back-up",
    ),
    Kind(
        name="database", severity="critical", quotes=True,
        says="the database does not answer; images are answered with A700 meanwhile",
        remedy="look at the database server, or at the disk of the data folder",
    ),
    Kind(
        name="volume", severity="critical", quotes=True,
        says="the disk failed to write or flush; images are refused with A700",
        remedy="check the volume and its mount, then restart the node",
    ),
    Kind(
        name="disk", severity="critical",
        says="less space is free than `disk_reserve`; images are refused with A700",
        remedy="free space, take a larger disk, or lower `retention_days`; images are taken again by itself",
    ),
    Kind(
        name="disk-low", severity="warning",
        says="less space is free than twice `disk_reserve`",
        remedy="free space before images are refused",
    ),
    Kind(
        name="log", severity="warning",
        says="log lines are lost; everything else goes on",
        remedy="make space where standard error goes, or open it again",
    ),
    Kind(
        name="silence", severity="error", about="source",
        says="no images came for longer than `expect` says",
        remedy="look whether the source is on, forwards to this node and reaches it; else change its `expect`",
    ),
    Kind(
        name="refusals", severity="warning", about="source",
        says="objects of a known sender were refused within the last hour",
        remedy="`radnode refused` says why, and where the bytes lie: the sender must mend them",
    ),
    Kind(
        name="unreadable", severity="error", about="source",
        says="images were kept within the last day whose headers cannot be read; nothing runs on their series",
        remedy="`radnode refused` says why; have the source send them again",
    ),
    Kind(
        name="headers", severity="error",
        says="images wait for longer than two minutes for their headers to be read",
        remedy="look at memory and processors of the machine and at the log; a restart of the node does no harm",
    ),
    Kind(
        name="held", severity="warning", about="source",
        says="series lack images and have been held for longer than `series_held`, within the last day",
        remedy="have the source send the study again; `radnode routes explain` says what is missing",
    ),
    Kind(
        name="conflict", severity="error", about="source", quotes=True,
        says="images contradict each other (two patients in one study, one UID for two images) within the last day; "
             "nothing runs on them",
        remedy="correct the study in the archive; `radnode routes explain` says what contradicts",
    ),
    Kind(
        name="order", severity="warning", about="sender", quotes=True,
        says="studies of the last day have an order under their Accession Number that is another patient's; nothing is "
             "taken from it",
        remedy="`radnode routes explain` says which; correct or cancel the order, or the images, where they come from",
    ),
    Kind(
        name="order-server", severity="warning", quotes=True,
        says="the FHIR server that is asked for orders does not answer; studies go on without them",
        remedy="look at the server and at `messaging.orders_from`",
    ),
    Kind(
        name="series", severity="error", about="number in the log", quotes=True,
        says="a series cannot be judged",
        remedy="look at `series.not_judged` in the log and report it",
    ),
    Kind(
        name="study", severity="error", about="number in the log", quotes=True,
        says="a study cannot be judged for pipelines that read several series",
        remedy="look at `study.not_judged` in the log and report it",
    ),
    Kind(
        name="jobs", severity="error", about="pipeline",
        says="jobs failed for good within the last day",
        remedy="`radnode jobs` says why",
    ),
    Kind(
        name="drift", severity="warning", about="pipeline", quotes=True,
        says="what a pipeline gets or gives is no longer what it was in its baseline",
        remedy="the page Monitoring says which figure of which scanner, and since when; look at cases of before and "
               "after, ask what was changed at the scanner; is it meant so, set `monitoring.baselines` to days since",
    ),
    Kind(
        name="late", severity="warning", about="pipeline",
        says="results are not there within the time that their route wants them (`within`)",
        remedy="look at `radnode jobs`; raise the priority of the route, add a worker, or want them later",
    ),
    Kind(
        name="jobs-waiting", severity="warning",
        says="a job waits for a worker for longer than `job_waits`",
        remedy="look at `radnode jobs` and at the workers in the log; add a worker if the load is what you expect",
    ),
    Kind(
        name="pipeline", severity="error", about="pipeline", quotes=True,
        says="a pipeline cannot be used: it does not load, or its model is not the one that was added",
        remedy="install or add it again; until then its studies fail",
    ),
    Kind(
        name="destination", severity="error", about="destination", quotes=True,
        says="a destination does not answer; results wait (told after `destination_away`)",
        remedy="look at the peer and the network; `radnode doctor` tries it, results leave by themselves",
    ),
    Kind(
        name="deliveries", severity="error",
        says="results were given up",
        remedy="`radnode deliveries --failed` says why; once cured: `radnode resend --all-failed`",
    ),
    Kind(
        name="delivery-waits", severity="warning", about="destination",
        says="results wait for longer than `delivery_waits`",
        remedy="`radnode deliveries` says why",
    ),
    Kind(
        name="unconfirmed", severity="error", about="destination", quotes=True,
        says="a destination answered Success to results that it does not list; they are sent again",
        remedy="look into its import queue",
    ),
    Kind(
        name="patient", severity="error", about="destination", quotes=True,
        says="a destination has a study under another patient than it had when the study was read, or a merge of its "
             "patient was told; its results are held back",
        remedy="compare the study there with `radnode deliveries --failed`; if the result is right: "
               "`radnode resend NUMBER`; else have the study sent here again",
    ),
    Kind(
        name="commitment", severity="warning", about="destination", quotes=True,
        says="a destination takes no storage commitment, or does not commit to results; they are asked about again, "
             "looked for by C-FIND, or given up",
        remedy="`radnode deliveries` says why; allow this node storage commitment there, or set `commitment: false`",
    ),
    Kind(
        name="images", severity="warning", about="destination", quotes=True,
        says="a destination has not all images that a result refers to; its viewer may not show the result",
        remedy="send the missing images to it, or send results where the images are",
    ),
    Kind(
        name="deidentification", severity="error", about="destination", quotes=True,
        says="an object was not sent outside, because it is not certain to be of nobody; or one that came from there "
             "is not sent on, because it is not certain whose it is",
        remedy="`radnode transfers` and `radnode deliveries --failed` say why; once cured: `radnode transfers --again`",
    ),
    Kind(
        name="form", severity="warning", about="destination and form", quotes=True,
        says="a destination refused a result form and gets another instead",
        remedy="list the other form for it, or, once it takes this one: `radnode offer-again`",
    ),
    Kind(
        name="fetch", severity="warning", about="archive", quotes=True,
        says="studies that were asked for within the last day did not come, or not whole",
        remedy="`radnode pulls` says which, why, and when they are tried again; "
               "once cured: `radnode fetch STUDY_UID --from NAME`",
    ),
    Kind(
        name="worklist", severity="warning", about="manager", quotes=True,
        says="the worklist of a manager cannot be asked: its orders are not seen, and it is not told what came of them",
        remedy="look at the manager and at its peer in the configuration; what it was not told is told by itself",
    ),
    Kind(
        name="pull", severity="error", about="pull", quotes=True,
        says="an archive gave a pull no answer three times in a row",
        remedy="look at the archive and the network; it is asked again by itself",
    ),
    Kind(
        name="folder", severity="warning", about="folder", quotes=True,
        says="a watched folder cannot be used, or something in it could not be taken within the last day",
        remedy="look into its folder `failed`: a reason lies beside each; put it back once it is mended",
    ),
    Kind(
        name="configuration", severity="error", quotes=True,
        says="the changed file has mistakes; the last good configuration is in force",
        remedy="`radnode check` names them",
    ),
    Kind(
        name="tls", severity="error", quotes=True,
        says="changed files of the node's certificate cannot be used; the last good ones are in force",
        remedy="put certificate, key and authority there that belong together; `radnode doctor` looks at them",
    ),
    Kind(
        name="certificate", severity="error", about="node or peer", quotes=True,
        says="a certificate has ended, ends within seven days, or cannot be read",
        remedy="put a renewed one in its place: it is taken without a restart",
    ),
    Kind(
        name="certificate-ends", severity="warning", about="node or peer",
        says="a certificate ends within thirty days",
        remedy="have it renewed and put the new one in its place: it is taken without a restart",
    ),
    Kind(
        name="strangers", severity="warning", about="source",
        says="three times or more within the last hour somebody could not show who it is: a wrong certificate or "
             "token, TLS where there is none, or none where there is",
        remedy="`tls.refused`, `association.rejected` and `request.refused` in the log say what is wrong: mend it at "
               "the source, or its `client_certificate` or `token_file`",
    ),
    Kind(
        name="receiver", severity="error", about="receiver", quotes=True,
        says="one of several receivers says that something is wrong there, or was not heard of for a minute",
        remedy="look at that process and its log; who sends to it must be able to send to another. One that was not "
               "heard of for a day is not expected any more",
    ),
    Kind(
        name="audit", severity="error", quotes=True,
        says="audit messages have waited for the syslog server for more than 15 minutes; they are kept and sent later",
        remedy="look at that server and at `audit.syslog` in the configuration; the log says `audit.syslog_away`",
    ),
    Kind(
        name="backup", severity="error", quotes=True,
        says="the last back-up failed, or the newest one is older than 30 hours",
        remedy="look at the folder of the section `backup`, its space and rights; `radnode backup` makes one by hand",
    ),
    Kind(
        name="ray", severity="error", quotes=True,
        says="Ray has had fewer workers than `workers` lists for half a minute; jobs wait, none is lost",
        remedy="`ray status` says what its machines have free; look at its head and at the log's `ray.said`",
    ),
    Kind(
        name="restart", severity="warning",
        says="changed settings take effect after a restart",
        remedy="restart the node",
    ),
    Kind(
        name="clock", severity="warning",
        says="the clock of the machine was moved within the last hour; meanwhile no image is deleted for its age",
        remedy="let a time service (chrony, systemd-timesyncd) keep it; times in the log are off by that much",
    ),
    Kind(
        name="activity", severity="error", about="activity", quotes=True,
        says="a part of the node fails and is tried again and again",
        remedy="look at `activity.failed` in the log; `radnode doctor` may know the cause",
    ),
    Kind(
        name="sink", severity="error", about="mail or webhook", quotes=True,
        says="alarms cannot be told this way; it is tried again",
        remedy="look at its section below `alarms` in the configuration and at that server",
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def kind_of(alarm_name: str) -> Kind:
    """The kind of "silence:CT2"; a name that no kind has is an activity's, so that nothing is ever left untold."""
    return KINDS.get(alarm_name.partition(":")[0], KINDS["activity"])


def subject_of(alarm_name: str) -> str:
    """What "silence:CT2" is about: "CT2"."""
    return alarm_name.partition(":")[2]


def public_words(alarm_name: str, text: str) -> str:
    """What may leave the machine: nothing that a peer or a file has said."""
    kind = kind_of(alarm_name)
    return kind.says if kind.quotes else text


def table() -> str:
    """All kinds as a Markdown table."""
    lines = ["| alarm | how bad | when | what to do |", "|---|---|---|---|"]
    for kind in KINDS.values():
        name = f"`{kind.name}`" + (f" : {kind.about}" if kind.about else "")
        lines.append(f"| {name} | {kind.severity} | {kind.says} | {kind.remedy} |")
    return "\n".join(lines)
