"""Geometric phase analysis: amplitude and phase of a lattice's fringes, and how the lattice bends."""
