"""What the node tells over HTTP."""
