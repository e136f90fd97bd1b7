"""The formats in which atoms leave: one file a family, all listed in `napari_stemprior.io.exporters`."""
