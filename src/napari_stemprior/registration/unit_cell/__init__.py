"""The unit cell that an image itself shows, found without a prior."""
