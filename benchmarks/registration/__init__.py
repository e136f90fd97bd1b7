"""How well a lattice is laid on an image."""
