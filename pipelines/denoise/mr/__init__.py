"""Of MR."""
