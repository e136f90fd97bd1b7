"""How well the fast engine agrees with multislice."""
