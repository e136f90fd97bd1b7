"""How the microscope sees the specimen.

`reference_image` and `simulate` need ASE; they are imported from their modules, so that the fast
engine stays usable with torch alone.
"""

from napari_stemprior.optics.instrument import PRESETS, Instrument

__all__ = ["PRESETS", "Instrument"]
