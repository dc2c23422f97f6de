"""How result objects reach their destinations, and how arrival is proven."""
