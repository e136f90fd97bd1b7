"""The fast engine: incoherent images of columns."""
