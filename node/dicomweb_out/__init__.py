"""DICOMweb out: searching (QIDO-RS, PS3.18 10.6) and retrieving (WADO-RS, 10.4) what the node holds."""
