"""The steps of the desk."""
