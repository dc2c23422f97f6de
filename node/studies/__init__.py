"""Studies as an administrator sees them: what became of each, why, and what can be ordered of it by hand."""
