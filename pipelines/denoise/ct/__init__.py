"""Of CT."""
