"""What is said while a lattice is fitted."""

from napari_stemprior.progress import Progress

#: Between two steps; how many there are depends on what they find.
FITTING = Progress(0, 1, "fitting the lattice")
