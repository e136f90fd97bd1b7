"""A session file keeps the mask of an image."""

import numpy as np
import tifffile
from desk_bench import Desk, said
from desk_fakes import SHAPE, picture
from napari.components import ViewerModel
from napari.layers import Image

from napari_stemprior.qt.layers.atom_layers import mask_of
from napari_stemprior.qt.readers import read

MASK = np.zeros(SHAPE, bool)
MASK[20:50, 30:70] = True


def test_the_mask_comes_back_with_its_session(qtbot, tmp_path):
    path = tmp_path / "flake.tif"
    tifffile.imwrite(path, picture(), photometric="minisblack")
    desk = Desk(qtbot, ViewerModel())
    try:
        for data, meta, _ in read(str(path)):
            layer = Image(data, **meta)
            layer._source = layer.source.model_copy(update={"path": str(path)})
            desk.viewer.add_layer(layer)
        desk.session.set_mask(MASK)
        desk.session_bar.write(tmp_path / "one.stemprior.json")
        desk.finish()
    finally:
        desk.widget.close()
    again = Desk(qtbot, ViewerModel())
    try:
        again.session_bar.open(tmp_path / "one.stemprior.json")
        again.finish()
        assert again.session.image is not None, said()
        np.testing.assert_array_equal(mask_of(again.session.image), MASK)
        np.testing.assert_array_equal(again.session.recording().excluded, MASK)
    finally:
        again.widget.close()
