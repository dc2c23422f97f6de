"""The node's own pages, for a PACS administrator: HTML made on the server, no build step, nothing from elsewhere."""
