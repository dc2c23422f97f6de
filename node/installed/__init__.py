"""Pipelines and models as an administrator sees them: what there is, how fast it is, how it was evaluated."""
