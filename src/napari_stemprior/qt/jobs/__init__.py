"""Long work in the background of the window."""
