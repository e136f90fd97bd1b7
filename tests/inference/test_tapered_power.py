"""The power that is made block by block is that of the whole transform."""

import numpy as np
import pytest

from napari_stemprior.inference import tapered_power as module
from napari_stemprior.inference.tapered_power import tapered_power
from napari_stemprior.progress import drain


@pytest.mark.parametrize("together", [2**19, 400])
def test_blocks_do_not_matter(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", together)
    image = np.random.default_rng(0).normal(2.0, 1.0, (50, 63))
    along = np.fft.rfftfreq(63) < 0.3
    taper = np.hanning(50)[:, None] * np.hanning(63)
    whole = np.abs(np.fft.rfft2(image * taper)) ** 2
    np.testing.assert_allclose(drain(tapered_power(image, along)), whole[:, along], rtol=1e-9, atol=1e-12)
    assert bool(list(tapered_power(image, along))) == (together == 400)  # progress of large images alone
