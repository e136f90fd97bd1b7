"""Benchmarks of the package, in folders by subject; run from the root of the repository."""
