"""Doors of other products: each turns its own words into ours and calls the one core."""
