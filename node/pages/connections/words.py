"""What kinds of connections, result forms and profiles are, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "peer": N_("DICOM peer"), "archive": N_("DICOMweb archive"), "folder": N_("watched folder"),
    "pull": N_("scheduled query"), "sender": N_("sender of HL7 messages"), "hl7": N_("HL7 destination"),
    "fhir": N_("FHIR destination"), "orders": N_("FHIR server for orders"), "listener": N_("port for HL7 messages"),
}
NEW: Mapping[str, tuple[str, str]] = {
    "peer": (N_("DICOM peer"), N_("A scanner or archive that sends images here, or a PACS that gets results, by "
                                  "DIMSE.")),
    "dicomweb": (N_("DICOMweb destination"), N_("Gets results by STOW-RS, with a password, OAuth 2.0 or a "
                                                "certificate.")),
    "archive": (N_("archive to fetch from"), N_(
        "Is asked for images: by C-FIND with C-MOVE or C-GET under the name of a peer, or by QIDO-RS and WADO-RS.")),
    "pull": (N_("scheduled query"), N_("Asks an archive again and again for new studies, in the hours that you "
                                       "choose.")),
    "folder": (N_("watched folder"), N_("DICOM files and zip archives that are put there are taken.")),
    "listener": (N_("port for HL7 messages"), N_("Where this node takes orders and patients by HL7 v2 (MLLP).")),
    "sender": (N_("sender of HL7 messages"), N_("A RIS or an interface engine that may send to that port.")),
    "hl7": (N_("HL7 destination"), N_("Gets results in words as ORU^R01 by MLLP.")),
    "fhir": (N_("FHIR destination"), N_("Gets results as a transaction of FHIR R4.")),
    "orders": (N_("FHIR server for orders"), N_("Is asked for the order of each study.")),
}
"""Form -> what it makes, and what that is for."""

FORMS: Mapping[str, str] = {
    "LABELMAP": N_("segmentation, small (label map)"), "SEG": N_("segmentation that every viewer reads"),
    "FRACTIONAL": N_("segmentation with probabilities"), "PM": N_("parametric map"),
    "RTSTRUCT": N_("contours for radiotherapy"), "SC": N_("pictures with outlines"),
    "GSPS": N_("marks on the original images (presentation state)"),
    "TID1500": N_("report with measurements in 3D"), "COMPREHENSIVE": N_("report for older workstations"),
    "OHIF": N_("marks that OHIF takes over as its own"), "MAMMOGRAPHY-CAD": N_("mammography CAD report"),
    "CHEST-CAD": N_("chest CAD report"), "KEY-OBJECTS": N_("key images"), "PDF": N_("one page in PDF"),
    "IMAGES": N_("images that a model made"), "NOT-PROCESSED": N_("note why a study was not read"),
    "ORU": N_("HL7 message with the result"), "ORU-NOT-PROCESSED": N_("HL7 message why a study was not read"),
    "FHIR": N_("FHIR bundle with the result"), "FHIR-NOT-PROCESSED": N_("FHIR bundle why a study was not read"),
}

PROFILES: Mapping[str, str] = {
    "any-pacs": N_("any PACS"), "ohif": N_("OHIF viewer"), "weasis": N_("Weasis viewer"), "slicer": N_("3D Slicer"),
    "mammography-workstation": N_("mammography workstation"), "radiotherapy": N_("radiotherapy planning"),
}
