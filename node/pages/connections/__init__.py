"""Sources and destinations: how each is, what failed, and how it is changed."""
