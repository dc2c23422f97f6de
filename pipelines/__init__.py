"""From voxels to findings to DICOM objects; knows no socket, no database and no configuration file."""
