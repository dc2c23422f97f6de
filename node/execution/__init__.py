"""How a leased job is run: by a worker process that keeps models warm and that may die alone."""
