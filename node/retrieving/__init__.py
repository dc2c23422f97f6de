"""What the node fetches by itself: from archives, from folders, and priors."""
