"""The other sides of a node, as its administrator sees them: which there are, how they are, what they would take."""
