"""Calibrating a network writes into its file what the segmenter reads."""

import shutil
from pathlib import Path

from napari_stemprior.adaptation.calibrate import calibrate
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.models import model_path
from napari_stemprior.progress import drain


def test_the_file_keeps_the_calibration(tmp_path: Path) -> None:
    path = Path(shutil.copy(model_path("small"), tmp_path / "mine.safetensors"))
    made = drain(calibrate(path, 4, "cpu"))
    assert made != Calibration()
    assert made.alone[1] > 0, "a higher peak must be surer"
    segmenter = Segmenter(path, "cpu")
    assert segmenter.calibration == made
    assert segmenter.notes["steps"] == Segmenter("small", "cpu").notes["steps"]
