"""Pure: what was seen of database, files and deliveries, judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.doctor.finding import Finding, good, warning, wrong

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.ledger import Balance
    from radnode.storage.reconciling import Differences
    from radnode.storage.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """What lies aside. quarantined: files; dead: numbers of deliveries; failed: jobs."""

    quarantined: int
    dead: tuple[int, ...]
    failed: int


def no_database(url: str, images: int) -> Finding:
    """Was there ever one? images: files in the instance store."""
    if images:
        return wrong("database", f"{url} is gone, and the file store holds {images} images that it knew",
                     "restore the back-up of the database, then radnode reindex (docs/recovery.md)")
    return good("database", f"{url} is not there yet; the node makes it at its first start")


def schema(found: Schema) -> Finding:
    """Does this version of radnode fit the database?"""
    question = "schema of the database"
    if found == "newer":
        return wrong(question, "a newer radnode wrote it",
                     "run the newer version again; to go back, restore the back-up made before the update")
    if found == "older":
        return warning(question, "an older radnode wrote it",
                       "make a back-up (docs/recovery.md), then start the node: it brings the schema up to date")
    if found == "expanded":
        return good(question, "a newer radnode added to it, and this version can work on it")
    if found == "none":
        return good(question, "not made yet; the node makes it at its first start")
    return good(question, "the one of this version")


def acknowledged(at: datetime | None, *, known: bool) -> Finding:
    """Does the database know what was acknowledged last? at: when that was, None if nothing ever was."""
    question = "what was acknowledged"
    if at is None:
        return good(question, "nothing yet")
    if known:
        return good(question, f"the database knows it up to the last, of {at:%Y-%m-%d %H:%M:%S} UTC")
    return wrong(question, f"the database does not know the last, of {at:%Y-%m-%d %H:%M:%S} UTC: it is an older copy, "
                 "or was made anew", "with the node stopped: radnode reindex (docs/recovery.md)")


def ledger(balance: Balance) -> Finding:
    """Has every acknowledged image one state?"""
    if balance.holds:
        return good("ledger", f"{balance.acknowledged} images acknowledged, each in exactly one state")
    stated = sum(balance.states.values())
    return wrong("ledger", f"{balance.acknowledged} images acknowledged, but {stated} have a state",
                 "stop the node, keep a copy of its database, and follow docs/recovery.md")


def images(seen: Differences) -> list[Finding]:
    """Do catalog and files agree?"""
    findings = []
    if seen.missing:
        findings.append(wrong("files of the catalog", f"{len(seen.missing)} acknowledged images have no file, or one "
                              f"of another size; the first is {seen.missing[0]}",
                              "restore them from the back-up of the file store (docs/recovery.md)"))
    else:
        findings.append(good("files of the catalog", f"{seen.agreeing} images, each with its file"))
    if seen.unlisted:
        findings.append(warning("orphaned files", f"{len(seen.unlisted)} files of images are in no catalog; either "
                                "their sender had no answer, or the database is older than the files",
                                "with the node stopped: radnode reindex"))
    else:
        findings.append(good("orphaned files", "none"))
    return findings


def waste(seen: Waste) -> list[Finding]:
    """Does anything lie aside that somebody should look at?"""
    findings = []
    if seen.quarantined:
        findings.append(warning("quarantine", f"{seen.quarantined} refused objects",
                                "`radnode refused` says of each when, from whom and why"))
    else:
        findings.append(good("quarantine", "empty"))
    if seen.dead:
        numbers = " ".join(map(str, seen.dead[:20]))
        findings.append(wrong("deliveries", f"{len(seen.dead)} results were given up",
                              f"mend the destination, then: radnode resend {numbers}"))
    else:
        findings.append(good("deliveries", "none given up"))
    if seen.failed:
        findings.append(warning("failed jobs", f"{seen.failed}", "radnode jobs says why"))
    else:
        findings.append(good("failed jobs", "none"))
    return findings
