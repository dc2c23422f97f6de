"""Findings as messages for the systems of words: HL7 v2 for a RIS, FHIR for a record. With their gate."""
