"""The formats in which atoms leave: one file a family, all listed in `io.writers.exporters`."""
