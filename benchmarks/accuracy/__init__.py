"""How well atoms are found, placed and told from vacancies."""
