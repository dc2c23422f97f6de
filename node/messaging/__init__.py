"""HL7 v2 and FHIR: orders that come in, results that go out."""
