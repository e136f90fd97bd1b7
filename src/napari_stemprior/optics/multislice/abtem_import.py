"""abTEM where it is installed: the multislice engine needs it, segmenting does not."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from napari_stemprior.errors import MissingPackageError


def check_abtem() -> None:
    """Look whether abTEM is installed, without importing it.

    Raises
    ------
    MissingPackageError
        If it is not.
    """
    if find_spec("abtem") is None:
        raise MissingPackageError(
            "The multislice engine needs abTEM; install it with pip install 'napari-stemprior[multislice]', "
            "or choose the fast engine."
        )


def load_abtem() -> Any:
    """Import abTEM, which takes some seconds the first time.

    Returns
    -------
    module

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    check_abtem()
    import abtem

    return abtem
