"""DICOMweb (PS3.18): studies stored by HTTP, into the same store as those of C-STORE."""
