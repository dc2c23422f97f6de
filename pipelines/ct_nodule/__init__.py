"""Lung nodules on chest CT: marks, outlines and sizes."""
