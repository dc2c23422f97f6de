"""A copy of everything that cannot be made again, taken while the node runs, and put back when it does not."""
