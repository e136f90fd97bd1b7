"""The atoms of all images of a desk: one table of results as the command line writes it, one training set."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.history import user_name
from napari_stemprior.errors import MeasurementError
from napari_stemprior.io import Micrograph, export_atoms, pair_provenance
from napari_stemprior.io.writers.exporters import check_export
from napari_stemprior.io.writers.formats.tables import inert
from napari_stemprior.measurement.tracking import AtomTracker, FrameTracks, track_table
from napari_stemprior.output_files import check_output, output_folder
from napari_stemprior.progress import Progress
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.output_names import OutputNames
from napari_stemprior.workflow.results_table import JOURNAL, TABLE, ImageRow, Journal, filled, stamp
from napari_stemprior.workflow.save_pair import network_file, save_pair


@dataclass(frozen=True, eq=False)
class FinishedImage:
    """An image, or a frame of a stack, with its atoms.

    Parameters
    ----------
    name : str
    file : pathlib.Path
        Where it was read; of an image without a file a path of its name alone.
    frame, frames : int
        Which of how many in that file, counted from 0.
    load : callable
        Returns the image as it was recorded.
    table : AtomTable or None
        Corrections and marked vacancies included; None where it failed.
    prior : StructurePrior, Stack or None
    error : str
        Why it failed, in a sentence.
    fit : LatticeFit, optional
        Where the lattice of the prior lies on this very image, if that is known.
    inverted : bool
        Whether bright and dark are exchanged before it is analysed.
    """

    name: str
    file: Path
    frame: int
    frames: int
    load: Callable[[], Micrograph]
    table: AtomTable | None
    prior: Prior | None = None
    error: str = ""
    fit: LatticeFit | None = None
    inverted: bool = False

    def analysed(self) -> Micrograph:
        """Return the image under its name, with the contrast in which it is analysed."""
        recorded = replace(self.load(), name=self.name)
        return recorded.inverted() if self.inverted else recorded


def save_results(
    images: Sequence[FinishedImage], folder: Path, *, overwrite: bool = False
) -> Generator[Progress, None, Path]:
    """Write the atoms of each image and the table of all, in the form of ``stemprior segment``.

    Atoms of a stack are followed over its frames (`AtomTracker`): ``<stem>_tracks.csv`` has a row for each
    atom of each frame, with the number that stays with it, and the table has the drift of each frame.

    Parameters
    ----------
    images : sequence of FinishedImage
    folder : pathlib.Path
        Is made where it is not there.
    overwrite : bool
        Replace files that this program did not write; an image never is.

    Returns
    -------
    pathlib.Path
        The table.

    Raises
    ------
    ExportError
        If something cannot be written, or another program's file is in the way.
    """
    inputs = list(dict.fromkeys(image.file for image in images))
    with output_folder(folder):
        names = OutputNames(inputs, ".csv", [TABLE])
        outputs = [
            folder / names.claim(image.file, f"_{image.frame:03d}" if image.frames > 1 else "")[0]
            for image in images
        ]
        for output in outputs:
            check_export(output, inputs, overwrite=overwrite)
        tracked: dict[int, FrameTracks] = {}
        for stack in _stacks(images):
            path = folder / names.claim(stack[0].file, "_tracks")[0]
            check_output(path, inputs, own_marks=[_TRACKS], overwrite=overwrite)
            tracked |= yield from _followed(stack, path)
        journal = Journal(folder, {"prior": None}, overwrite=overwrite, inputs=inputs)
        try:
            for count, (image, output) in enumerate(zip(images, outputs, strict=True)):
                yield Progress(count, len(images), f"Writing {output.name}")
                row = ImageRow(
                    image.name, str(image.file), image.frame, prior=image.prior.name if image.prior else "",
                    error=image.error,
                )  # fmt: skip
                if image.table is not None:
                    export_atoms(
                        image.table, output, name=image.name, key="csv", inputs=inputs, overwrite=overwrite
                    )
                    row = replace(filled(row, image.table), output=output.name)
                if id(image) in tracked and image.table is not None:
                    y, x = tracked[id(image)].drift * image.table.pixel_size
                    row = replace(row, drift_x_angstrom=float(x), drift_y_angstrom=float(y))
                journal.add(stamp(image.file), image.frames, row)
        finally:
            journal.close()
            # its settings are those of several runs, so the command line cannot go on with it
            (folder / JOURNAL).unlink(missing_ok=True)
    return folder / TABLE


#: The first columns of a table of tracks: no other program's file begins like this.
_TRACKS = b"frame,track,atom_id,element,site,layer,"


def _stacks(images: Sequence[FinishedImage]) -> list[list[FinishedImage]]:
    """Return the stacks of which two frames or more have atoms, in the order of their frames."""
    found: dict[Path, list[FinishedImage]] = {}
    for image in images:
        if image.frames > 1 and image.table is not None:
            found.setdefault(image.file, []).append(image)
    return [sorted(stack, key=lambda one: one.frame) for stack in found.values() if len(stack) > 1]


def _followed(stack: list[FinishedImage], path: Path) -> Generator[Progress, None, dict[int, FrameTracks]]:
    """Follow the atoms of a stack and write their table; a stack of several pixel sizes has none."""
    tracker, frames, found = AtomTracker(), [], {}
    for count, image in enumerate(stack):
        yield Progress(count, len(stack), f"{image.name}: following its atoms")
        assert image.table is not None
        atoms = image.table.atoms
        try:
            tracks = tracker.add(atoms, image.load().image)
        except MeasurementError:
            return {}
        frames.append((atoms, tracks))
        found[id(image)] = tracks
    table = track_table(frames)
    numbers = {place: image.frame for place, image in enumerate(stack)}
    table["frame"] = table["frame"].map(numbers)
    with replaced(path) as beside:
        inert(table).to_csv(beside, index=False, lineterminator="\n", float_format="%.6g")
    return found


def save_pairs(images: Sequence[FinishedImage], folder: Path) -> Generator[Progress, None, int]:
    """Add images that a person has checked to a folder of training pairs; nothing there is overwritten.

    Parameters
    ----------
    images : sequence of FinishedImage
        Each counts as reviewed as a whole; one without atoms is left out.
    folder : pathlib.Path

    Returns
    -------
    int
        How many were saved.

    Raises
    ------
    ExportError, DatasetError
        If the folder cannot be written, or holds something else.
    """
    saved = 0
    for count, image in enumerate(images):
        yield Progress(count, len(images), f"{image.name}: saving the training pair")
        if image.table is None:
            continue
        recorded = replace(image.load(), name=image.name, pixel_size=image.table.pixel_size)
        if bool(image.table.provenance.get("inverted")) != recorded.is_inverted:
            recorded = recorded.inverted()  # the network learns bright columns
        provenance = pair_provenance(
            image.table.provenance, image.prior, network_file=network_file(image.table), editor=user_name()
        )
        reviewed = np.ones(recorded.image.shape, bool)
        yield from save_pair(folder, recorded, image.table, reviewed, image.prior, provenance)
        saved += 1
    return saved
