"""The DICOM conformance statement of a configured node, made of the tables that the node works by."""
