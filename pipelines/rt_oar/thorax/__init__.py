"""The protocol thorax: what `rt_oar` draws there."""
