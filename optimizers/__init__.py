"""Optax transformations, hand-crafted and learned, and what a sweep must know about them."""
