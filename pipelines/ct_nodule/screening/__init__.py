"""The same pipeline for a route of baseline lung cancer screening: sizes are put in words of Lung-RADS besides."""
