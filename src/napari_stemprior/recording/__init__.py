"""What the scan and the file did to a recording, and the image made fit for analysis."""

from napari_stemprior.recording.contrast import inverted
from napari_stemprior.recording.image_check import checked_image
from napari_stemprior.recording.prepare import PreparedImage, prepare
from napari_stemprior.recording.remarks import remarks
from napari_stemprior.recording.valid_mask import BadArea

__all__ = ["BadArea", "PreparedImage", "checked_image", "inverted", "prepare", "remarks"]
