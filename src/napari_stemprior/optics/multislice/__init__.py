"""The multislice engine, by abTEM."""
