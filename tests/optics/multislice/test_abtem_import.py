"""Without abTEM the multislice engine is one sentence, and everything else works."""

import sys

import pytest

from napari_stemprior.errors import MissingPackageError
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.montage import thickness_defocus_montage
from napari_stemprior.optics.multislice.abtem_import import check_abtem, load_abtem
from napari_stemprior.optics.multislice.reference import multislice_reference
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in


@pytest.fixture
def no_abtem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make abTEM as absent as if it were not installed."""
    monkeypatch.setitem(sys.modules, "abtem", None)


def test_abtem_is_found_where_it_is() -> None:
    check_abtem()
    assert load_abtem().__name__ == "abtem"


@pytest.mark.usefixtures("no_abtem")
def test_what_is_missing_and_how_to_get_it_is_one_sentence() -> None:
    for call in (check_abtem, load_abtem):
        with pytest.raises(
            MissingPackageError, match=r"needs abTEM; install it with pip install 'napari-st.*]'"
        ):
            call()


@pytest.mark.usefixtures("no_abtem")
def test_multislice_says_it_before_any_work() -> None:
    prior, instrument = built_in("MoS2"), PRESETS["80 kV HAADF"]
    with pytest.raises(MissingPackageError):
        drain(multislice_reference(prior, instrument, 0.1, (32, 32)))
    with pytest.raises(MissingPackageError):
        drain(thickness_defocus_montage(prior, instrument, [10.0], [0.0], engine="multislice"))


@pytest.mark.usefixtures("no_abtem")
def test_the_fast_engine_needs_no_abtem() -> None:
    assert reference_image(built_in("MoS2"), PRESETS["80 kV HAADF"], 0.1, (32, 32)).shape == (32, 32)
