"""Numbers of a paper: what atoms and their lattice measure."""
