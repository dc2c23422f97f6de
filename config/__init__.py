"""What an administrator writes, and how a mistake in it is explained."""
