"""What the forms of archives, scheduled queries and watched folders say beside each field."""

from __future__ import annotations

from radnode.node.pages.connections.entry_words import DAY_WORDS, SECRET, Group, asked, in_use
from radnode.node.pages.words import N_

ARCHIVE: tuple[Group, ...] = (
    Group(title=N_("How it is asked"), hint=N_(
        "Under the name of a DICOM peer it is asked by C-FIND at the host and port of that peer. Under any other name "
        "it "
        "needs an address of DICOMweb below, and its images come under that name."), fields=(
        asked("retrieve", N_("How images come"), N_(
            "By C-MOVE the peer must know this node's AE title, address and port, and be one that sends."), {
                "c-move": N_("C-MOVE: it sends them itself"), "c-get": N_("C-GET: on the association of this node"),
            }, nothing=N_("C-MOVE, or WADO-RS where there is an address")),
        in_use(),
    )),
    Group(title="DICOMweb", hint=N_(
        "Searched by QIDO-RS, fetched by WADO-RS. Show a token, or a user with password."), fields=(
        asked("dicomweb.url", N_("Address of its service"), N_("For example https://pacs.hospital.example/dicom-web")),
        asked("dicomweb.token_file", N_("Token of this node (file)"), SECRET),
        asked("dicomweb.user", N_("User"), N_("With a password, by HTTP Basic.")),
        asked("dicomweb.password_file", N_("Password (file)"), SECRET),
        asked("dicomweb.ca_file", N_("Authority (file)"), N_("PEM. Empty: the authorities of the machine.")),
        asked("dicomweb.certificate", N_("Certificate of this node (file)"), N_("Shown where the peer asks for one.")),
        asked("dicomweb.key", N_("Private key of this node (file)"), N_("Belongs to that certificate.")),
    )),
    Group(title=N_("Limits"), hint=N_("For an archive that is busy."), fields=(
        asked("associations", N_("Studies at a time")),
        asked("images_per_minute", N_("Images a minute"), N_("No more than this on the average. Empty: no limit.")),
    )),
)
PULL: tuple[Group, ...] = (
    Group(title=N_("What is asked"), hint=N_(
        "Studies that are new, or have grown since, are fetched; of what is here already, nothing."), fields=(
        asked("from", N_("Archive"), N_("The name of an archive: a peer that is asked for images, or one of "
                                        "DICOMweb.")),
        asked("window", N_("Studies of the last"), N_("By their date, written like 2 d or 12 h.")),
        asked("modality", N_("Modalities"), N_("For example CT, MR. Only series of these are fetched. Empty: all.")),
        asked("study_description", N_("Study description"), N_(
            "A pattern, as in the conditions of routes, for example (?i)chest|thorax. Empty: any.")),
    )),
    Group(title=N_("When"), hint=N_("Hours over midnight belong to the day that they begin on."), fields=(
        asked("schedule", N_("Schedule"), N_(
            "Minute, hour, day, month, day of week, as of cron: */15 * * * * is every quarter of an hour, 0 20 * * "
            "mon-fri "
            "at eight in the evening of working days.")),
        asked("between", N_("Between"), N_("It asks and fetches in these hours only, for example 20:00-06:00 for the "
                                           "night. "
                                           "Empty: at any time.")),
        asked("days", N_("On these days"), N_("None chosen: every day."), DAY_WORDS),
        in_use(N_("Not ticked: it stays written, and nothing is asked.")),
    )),
)
FOLDER: tuple[Group, ...] = (
    Group(title=N_("Where"), hint=N_(
        "DICOM files, directories and zip archives that somebody puts there are taken; they move to `done` in it, the "
        "rest "
        "to `failed` with the reason beside it."), fields=(
        asked("path", N_("Folder"), N_("On the machine of the node, for example /srv/radnode/import.")),
        in_use(N_("Not ticked: it stays written, and nothing is taken.")),
    )),
    Group(title=N_("Limits"), hint="", fields=(
        asked("stable", N_("Untouched for"), N_("Nothing is taken that has changed within so long, written like 5 s.")),
        asked("largest", N_("Largest"), N_("A zip archive that unpacks to more is given up.")),
    ), seldom=True),
)
