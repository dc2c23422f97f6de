"""Whether the pipelines still do here what they did when they were accepted."""
