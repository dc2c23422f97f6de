"""The protocol pelvis: what `rt_oar` draws there."""
