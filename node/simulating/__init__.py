"""A hospital's day, in virtual time against the node's own rules or in real time against a node."""
