"""The structure-prompted network."""
