"""Pictures of a study for the node's own pages: slices, what was found drawn over them, and where it lies."""
