"""The door to a Dask cluster, on which long work is spread over machines."""

from __future__ import annotations

from typing import Any

from napari_stemprior.errors import ClusterError


def connected(address: str) -> Any:
    """Return a client of a Dask scheduler; whoever gets it closes it.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.

    Returns
    -------
    distributed.Client

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or Dask's distributed package is missing.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "A scheduler needs Dask's distributed package, which is missing; install "
            "napari-stemprior[cluster] or leave --scheduler out."
        ) from error
    try:
        return Client(address, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"The Dask scheduler {address} does not answer; check the address (such as tcp://host:8786) "
            "or leave --scheduler out."
        ) from error


def unforeseen(what: str, error: BaseException) -> ClusterError:
    """Return what to tell a person of an error of another machine, its versions included.

    Parameters
    ----------
    what : str
        What failed, such as ``"A reference"``.
    error : BaseException
    """
    return ClusterError(
        f"{what} failed on the cluster ({type(error).__name__}: {error}); see that its machines have the "
        "same napari-stemprior."
    )
