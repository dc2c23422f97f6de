"""Pages about whether pipelines still do what they did when they were accepted."""
