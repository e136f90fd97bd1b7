"""What was set right in a recording, in sentences for a person."""

from __future__ import annotations

from napari_stemprior.recording.prepare import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips


def remarks(prepared: PreparedImage | PreparedStrips, how_to_invert: str) -> list[str]:
    """Say what was found and done, and how dark columns can be made bright.

    Parameters
    ----------
    prepared : PreparedImage or PreparedStrips
        Of what is analysed.
    how_to_invert : str
        What a person does where columns are dark, such as "give --invert".

    Returns
    -------
    list of str
        A sentence each; empty where nothing was found.
    """
    said = prepared.sentences()
    if prepared.skewness.dark:
        said.append(f"The columns look dark on bright ground, as in ABF or bright field; {how_to_invert}.")
    elif prepared.skewness.perhaps_dark:
        said.append(
            f"The columns may be dark on bright ground, as in ABF or bright field; then {how_to_invert}."
        )
    return said
