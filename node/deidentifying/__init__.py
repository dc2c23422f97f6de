"""What leaves the hospital without who it is of, and comes back to whom it is of."""
