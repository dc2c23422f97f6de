"""Result writers: findings in, DICOM objects out (`writers`), and the gate that each of them has to pass (`gate`)."""
