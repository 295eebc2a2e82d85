"""A small trading service: generated prices, two forests, one page."""
