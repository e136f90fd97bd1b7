"""How well atoms found on a recording agree with the truth where the recording shows the specimen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.recording.artefacts import Known
from benchmarks.recording.files import Recording, at
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.hidden_sites import filled_vacancies
from napari_stemprior.atoms.matching import BORDER, inside, match


@dataclass(frozen=True)
class Result:
    """Counts of one answer.

    Parameters
    ----------
    tp, fp, fn : int
        By strict matching. All columns of the truth count, as in ``accuracy/accuracy.py``, oxygen too.
    vacancies, filled : int
        True vacancies that are judged, and those of them that are filled.
    on_mask : int
        Predicted atoms whose nearest pixel is bad.
    """

    tp: int
    fp: int
    fn: int
    vacancies: int
    filled: int
    on_mask: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else 1.0


def judged(found: AtomTable, known: Known) -> Result:
    """Compare atoms with the truth, in pixels, with the true pixel size.

    What lies on bad pixels, or within 1 Å of a border, strip or scale bar, is neither rewarded nor penalised,
    as at the border of the image: pairs go of which either end lies there.
    """
    size, recording = known.truth.pixel_size, known.recording
    shape = (recording.image.shape[0], recording.image.shape[1])
    seen = found.atoms
    pairs = match(seen.yx, known.truth.yx, size, shape)
    away = recording.left_out(size)
    lost_p, lost_t = at(away, seen.yx), at(away, known.truth.yx)
    kept = ~lost_p[pairs.predicted] & ~lost_t[pairs.truth]
    empty = known.vacancies[inside(known.vacancies, size, shape, BORDER) & ~at(away, known.vacancies)]
    full = filled_vacancies(seen, known.truth, empty, np.zeros(len(empty), bool))
    return Result(
        tp=int(kept.sum()),
        fp=int((~lost_p[pairs.spurious]).sum()),
        fn=int((~lost_t[pairs.missed]).sum()),
        vacancies=len(empty),
        filled=int(full.sum()),
        on_mask=on_bad(found, recording),
    )


def on_bad(found: AtomTable, recording: Recording) -> int:
    """Count the atoms whose nearest pixel is bad."""
    return int(at(recording.bad, found.atoms.yx).sum())
