"""Sessions to save: a micrograph with a prior, a fit, atoms and edits."""

import numpy as np
import tifffile

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.edit_context import EditContext
from napari_stemprior.workflow.save_session import Unsaved, save_session
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.session_file import SavedImage, SavedSession

SIZE = 0.15
IMAGE = np.random.default_rng(0).normal(100, 9, (40, 48)).astype(np.float32)


def history(seed=0):
    rng = np.random.default_rng(seed)
    rows = AtomTable.from_positions(
        rng.uniform(5, 35, (9, 2)), SIZE, element=["Mo", "S", "X"] * 3, confidence=rng.random(9)
    ).rows
    made = AtomHistory(rows, who="ada")
    made.record("accept", made.rows.iloc[[2]], made.rows.iloc[[2]].assign(status="accepted"))
    made.record("delete", made.rows.iloc[[4]], made.rows.iloc[[4]].assign(status="rejected"))
    made.record("remove", made.rows.iloc[[5]], made.rows.iloc[:0])
    made.undo()
    return made


def context(prior=None):
    prior = prior or built_in("MoS2")
    pose = Pose.from_angle(11.0, SIZE, (3.0, 5.0), score=0.9)
    field = PoseField(
        pose, np.arange(3.0) * 9, np.arange(4.0) * 9, np.full((3, 4, 2), 0.1), np.ones((3, 4)), 0.01
    )
    fit = LatticeFit(prior, (pose,), field=field, rivals=(Pose.from_angle(41.0, SIZE, score=0.6),))
    return EditContext(SIZE, "lattice", True, prior, fit)


def unsaved(path, seed=0, **changes):
    """An image whose file is written if it is not there."""
    if not path.exists():
        tifffile.imwrite(path, IMAGE + np.float32(seed), photometric="minisblack")
    known = {
        "context": context(),
        "shape": IMAGE.shape,
        "dtype": "float32",
        "states": (FrameState((), history(seed), SIZE, {"model": "small", "dose": float("nan")}),),
        "reviewed": ((),),
        "region": (("rectangle", [[1.0, 2.0], [1.0, 9.0], [8.0, 9.0], [8.0, 2.0]]),),
        "journals": ({"created": "then", "host": "here", "pid": 1, "edits": 3},),
    }
    image = SavedImage(path.stem, path, **{**known, **changes})
    return Unsaved(image, tifffile.imread(path))


def saved(path, *images, **options):
    session = SavedSession((), 0, (), SegmentSettings(trust=0.4, device="cpu"), (1.0, 2.0, 30.0))
    return drain(save_session(session, images, path, **options))
