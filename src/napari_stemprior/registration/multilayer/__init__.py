"""Several lattices on one image at once: the layers of a stack."""
