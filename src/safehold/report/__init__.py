"""Read side: what was found, counted and rendered."""
