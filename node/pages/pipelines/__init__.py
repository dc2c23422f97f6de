"""Pipelines and models: what is installed, how fast it is, how it was evaluated, which routes run it."""
