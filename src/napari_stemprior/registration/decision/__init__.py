"""Whether to believe a lattice: measures, criteria, and the sentences that say so."""
