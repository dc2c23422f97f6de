"""The protocol head and neck: what `rt_oar` draws there."""
