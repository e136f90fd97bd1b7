"""The noise of a scanning microscope, part by part."""
