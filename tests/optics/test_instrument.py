"""Presets, and one sentence for settings that no microscope has."""

from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics import PRESETS, Instrument
from napari_stemprior.optics.montage import thickness_defocus_montage
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in


def test_every_voltage_has_every_detector() -> None:
    assert {f"{kv} kV {d}" for kv in (60, 80, 200, 300) for d in ("BF", "ABF", "MAADF", "HAADF")} == set(
        PRESETS
    )
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.is_coherent == name.endswith("BF")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("beam_energy", 0.0, "beam energy"),
        ("beam_energy", float("nan"), "beam energy"),
        ("convergence_semi_angle", -1.0, "convergence angle"),
        ("detector_inner", 300.0, "detector begins"),
        ("source_size", -0.1, "source size"),
        ("dose", -5.0, "dose"),
        ("defocus", float("inf"), "defocus"),
        ("beam_energy", "much", "beam energy"),
    ],
)
def test_nonsense_is_said_in_one_sentence(field: str, value: object, said: str) -> None:
    with pytest.raises(InstrumentError, match=said) as caught:
        replace(Instrument(), **{field: value})
    assert str(caught.value).count(";") == 1


def test_the_fast_engine_refuses_bright_field() -> None:
    with pytest.raises(InstrumentError, match="multislice"):
        reference_image(built_in("MoS2"), PRESETS["80 kV ABF"], 0.2, (32, 32))


def test_a_montage_has_a_row_a_thickness_and_a_column_a_defocus() -> None:
    prior = built_in("Si [110]")
    made = drain(
        thickness_defocus_montage(prior, PRESETS["200 kV HAADF"], [20, 80], [-60, 0, 60], pixel_size=0.2)
    )
    assert made.images.shape[:2] == (2, 3)
    sharp = made.images.std(axis=(2, 3))
    assert (sharp[:, 1] > sharp[:, 2]).all()
    assert made.images[1].mean() > 2 * made.images[0].mean()
    lens = replace(PRESETS["200 kV HAADF"], defocus=60.0)
    single = reference_image(prior, lens, 0.2, made.images.shape[2:], thickness=80.0)
    np.testing.assert_array_equal(made.images[1, 2], single)
    picture = made.picture(gap=3)
    assert picture.shape == (2 * single.shape[0] + 3, 3 * single.shape[1] + 6)
    assert np.nanmin(picture) == 0
    assert np.nanmax(picture) == 1


@pytest.mark.parametrize(("thicknesses", "defoci"), [([], [0.0]), ([20.0], []), ([-5.0], [0.0])])
def test_an_empty_montage_is_said_so(thicknesses: list[float], defoci: list[float]) -> None:
    with pytest.raises(InstrumentError):
        drain(thickness_defocus_montage(built_in("MoS2"), PRESETS["80 kV HAADF"], thicknesses, defoci))
