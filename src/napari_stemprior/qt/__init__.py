"""The desk in napari; the only room that imports napari and Qt."""
