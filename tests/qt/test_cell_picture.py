import numpy as np
import pytest
from qtpy.QtCore import QRectF
from qtpy.QtGui import QImage, QPainter, QPalette

from napari_stemprior.qt.layers.palette import element_colour
from napari_stemprior.qt.widgets.cell_picture import CellPicture, draw_cell
from napari_stemprior.structure import built_in, names


def painted(prior):
    image = QImage(280, 132, QImage.Format.Format_RGB32)
    image.fill(0)
    painter = QPainter(image)
    draw_cell(painter, QRectF(image.rect()), prior, QPalette())
    painter.end()
    return {image.pixelColor(x, y).getRgb()[:3] for x in range(0, 280, 2) for y in range(0, 132, 2)}


@pytest.mark.parametrize("name", names())
def test_every_element_of_the_entrance_layer_is_seen(qapp, name):
    prior = built_in(name)
    seen = painted(prior)
    for column in prior.columns:
        if column.layer == 0:
            wanted = np.rint(255 * np.array(element_colour(column.element)))
            assert min(np.abs(np.array(colour) - wanted).max() for colour in seen) <= 1, column.element


def test_without_a_prior_there_is_no_picture(qtbot):
    picture = CellPicture()
    qtbot.addWidget(picture)
    picture.set_prior(None)
    assert picture.isHidden()
    picture.set_prior(built_in("MoS2"))
    assert not picture.isHidden()
    assert "[001]" in picture.toolTip()
