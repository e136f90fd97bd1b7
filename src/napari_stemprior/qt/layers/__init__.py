"""The plugin's napari layers."""
