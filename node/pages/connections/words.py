"""What kinds of connections, result forms and profiles are, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "peer": N_("DICOM peer"), "archive": N_("DICOMweb archive"), "folder": N_("watched folder"),
    "pull": N_("scheduled query"), "sender": N_("sender of HL7 messages"), "hl7": N_("HL7 destination"),
    "fhir": N_("FHIR destination"), "orders": N_("FHIR server for orders"),
}

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
