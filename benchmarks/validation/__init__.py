"""The specimens, their multislice scans and the validation set drawn from them."""
