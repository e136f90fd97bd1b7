"""How the microscope sees the specimen."""

from napari_stemprior.optics.instrument import PRESETS, Instrument

__all__ = ["PRESETS", "Instrument"]
