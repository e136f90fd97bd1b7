"""Where an image is periodic: its normalised form, power spectrum, peaks, and the lattices that fit them."""
