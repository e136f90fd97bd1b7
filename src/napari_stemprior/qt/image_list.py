"""All images of a desk as one list: open layers, frames of a stack, and files that are not open yet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.atoms.table import ABSENT, AtomTable
from napari_stemprior.errors import MicrographError
from napari_stemprior.io import Micrograph
from napari_stemprior.io.writers.formats.tables import prior_fit
from napari_stemprior.qt.layers.atom_layers import (
    KEY,
    layer_from_micrographs,
    layer_id,
    micrograph_from_layer,
    path_of,
    pixel_size_of,
)
from napari_stemprior.qt.layers.image_notes import (
    is_inverted,
    known_pixel_size,
    note_pixel_size_from,
    pixel_size_from,
)
from napari_stemprior.qt.listed_image import THUMBNAIL, ListedImage, Summary
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.count_doubts import DOUBTS
from napari_stemprior.workflow.file_frames import FileContent, FileFrames, thinned
from napari_stemprior.workflow.save_all import FinishedImage
from napari_stemprior.workflow.segment import Segmentation
from napari_stemprior.workflow.segment_all import WaitingImage
from napari_stemprior.workflow.segment_frame import FrameResult


class ImageList:
    """Keeps the list in step with the viewer.

    Parameters
    ----------
    session : Session
    """

    #: Images came or went.
    changed = Signal()
    #: What is known about one image has changed: its place in `images`; -1 for any of them.
    image_changed = Signal(int)
    #: Another image or frame is looked at.
    current_changed = Signal()

    def __init__(self, session: Session) -> None:
        self.session = session
        self.images: list[ListedImage] = []
        self._files = FileFrames()
        session.images_changed.connect(self.update)
        session.atoms_changed.connect(self._on_atoms)
        session.doubts_changed.connect(self._on_atoms)
        session.prior_changed.connect(self._on_any)
        session.image_changed.connect(self._on_current)
        self.update()

    def close(self) -> None:
        """Let go of the session."""
        self.session.images_changed.disconnect(self.update)
        self.session.atoms_changed.disconnect(self._on_atoms)
        self.session.doubts_changed.disconnect(self._on_atoms)
        self.session.prior_changed.disconnect(self._on_any)
        self.session.image_changed.disconnect(self._on_current)

    # --- what is there ------------------------------------------------------------------------
    @property
    def current(self) -> int:
        """The place in `images` of the image and frame that a person looks at; -1 where there is none."""
        layer = self.session.image
        if layer is None:
            return -1
        frame = self.session.frame
        return next((i for i, one in enumerate(self.images) if one.layer is layer and one.frame == frame), -1)

    def summary(self, image: ListedImage) -> Summary:
        """Return what the list says of an image."""
        about, status, prior, corrected = self._atoms_of(image)
        name = "" if prior is None else prior.name
        if status is None:
            return Summary(name)
        return Summary(
            name,
            prior_fit(about),
            " ".join(map(str, about.get("reservations") or ())),
            int((~np.isin(status, ABSENT)).sum()),
            about.get(DOUBTS),
            corrected,
        )

    def table(self, image: ListedImage, *, shown_only: bool = False) -> AtomTable | None:
        """Return the atoms of an image with its marked vacancies; None where nobody has looked for any.

        What the confidence threshold hides can be left out (`shown_only`).
        """
        if image.layer is None:
            table = None if image.result is None else image.result.table
            given = None if image.pixel_size_from == "file" else image.pixel_size
            return table if table is None or given is None else AtomTable(table.rows, given, table.provenance)
        editor = self.session.specimen(image.layer).editor
        if editor is None or image.frame not in editor.histories:
            return None
        history = editor.histories[image.frame]
        if not len(history) and not history.steps:
            return None
        table = editor.table(vacancies=True, shown_only=shown_only, frame=image.frame)
        table.provenance.setdefault("pixel_size_from", pixel_size_from(image.layer))
        return table

    def prior(self, image: ListedImage) -> Prior | None:
        """Return the prior of an image."""
        return image.prior if image.layer is None else self.session.specimen(image.layer).prior

    def thumbnail(self, image: ListedImage) -> NDArray[np.float32] | None:
        """Return a small picture, (rows, columns); None where that would take long or is not known yet."""
        if image.thumbnail is None and image.layer is not None and not image.layer.rgb:
            data = image.layer.data[-1] if image.layer.multiscale else image.layer.data
            if isinstance(data, np.ndarray):
                image.thumbnail = thinned(data[image.frame], THUMBNAIL)
        return image.thumbnail

    # --- what is done -------------------------------------------------------------------------
    def add_file(self, content: FileContent) -> None:
        """List the frames of a file, once; one that is open is listed already.

        Parameters
        ----------
        content : FileContent
        """
        if any(one.path == content.path for one in self.images):
            return
        if content.error:
            self.images.append(ListedImage(content.path.stem, path=content.path, problem=content.error))
        for index, name in enumerate(content.names):
            one = ListedImage(name, path=content.path, index=index)
            one.pixel_size, one.thumbnail = content.pixel_sizes[index], content.thumbnails[index]
            self.images.append(one)
        self.changed.emit()

    def add_saved(self, image: ListedImage) -> None:
        """List a file of an earlier session with what was found on it, unless it is listed.

        Parameters
        ----------
        image : ListedImage
        """
        if not any(one.path == image.path and one.index == image.index for one in self.images):
            self.images.append(image)
            self.changed.emit()

    def copy_to_all(self) -> None:
        """Give every image the prior and the pixel size of the chosen one."""
        session = self.session
        prior, size = session.prior, session.pixel_size
        for layer in session.images:
            if layer is session.image:
                continue
            if prior is not None:
                session.specimen(layer).prior = prior
            if size is not None:
                session.calibrate(layer, size)
        for one in self.images:
            if one.layer is None:
                one.prior = prior or one.prior
                if size is not None:
                    one.pixel_size, one.pixel_size_from = size, "given"
        self.image_changed.emit(-1)

    def without_prior(self) -> list[ListedImage]:
        """Return images that have neither a prior nor atoms, one of each layer or file."""
        first: dict[object, ListedImage] = {}
        for one in self.images:
            first.setdefault(one.path if one.layer is None else layer_id(one.layer), one)
        return [one for one in first.values() if self.prior(one) is None and self._atoms_of(one)[1] is None]

    def take_prior(self, image: ListedImage, prior: Prior | None, problem: str = "") -> None:
        """Give an image, and all of its layer or file, a prior, or say why there is none.

        One that a person has chosen meanwhile stays.
        """
        if self.prior(image) is not None:
            return
        if image.layer is not None and prior is not None:
            if image.layer is self.session.image:
                self.session.set_prior(prior)
            else:
                self.session.specimen(image.layer).prior = prior
        for one in self.images:
            if one.layer is image.layer and one.path == image.path:
                one.prior, one.problem = prior or one.prior, problem
        self.image_changed.emit(-1)

    def waiting(self, images: Sequence[ListedImage], *, prior: bool = True) -> list[WaitingImage]:
        """Return images as jobs; where a prior is wanted, one without takes that of the chosen image."""
        return [self._waiting(self.images.index(image), image, prior) for image in images]

    def take(self, image: ListedImage, result: FrameResult) -> None:
        """Take what came of an image: into its layer, or kept until its file is opened."""
        image.problem = result.error
        if result.table is not None:
            image.reviewed = False
            if image.layer is None:
                image.result = result
            else:
                self._land(image, image.layer, result)
        if image in self.images:
            self.image_changed.emit(self.images.index(image))

    def open_file(self, path: Path, frames: Sequence[Micrograph]) -> None:
        """Open a file that was read; its layers take the places of the file (`update`).

        Parameters
        ----------
        path : pathlib.Path
        frames : sequence of Micrograph
            All that it holds.
        """
        for data, meta, _ in layer_from_micrographs(frames):
            meta["metadata"][KEY]["path"] = str(path)
            self.session.viewer.add_layer(Image(data, **meta))

    def show(self, image: ListedImage) -> None:
        """Show an open image on the desk and hide the others.

        Raises
        ------
        MicrographError
            If it is not open: its file holds fewer images than it had.
        """
        viewer, layer = self.session.viewer, image.layer
        if layer is None:
            raise MicrographError(f"{image.name}: the file holds fewer images by now; add its folder again.")
        others = [one for one in self.session.images if one is not layer]
        for other in others:
            _show(viewer.layers, self.session, other, False)
        _show(viewer.layers, self.session, layer, True)
        self.session.choose_image(layer)
        for axis, at in enumerate(image.frame):
            viewer.dims.set_current_step(axis, at)
        editor = self.session.editor
        self.session.activate(layer if editor is None else editor.layer)

    def finished(self, images: Sequence[ListedImage], *, shown_only: bool = False) -> list[FinishedImage]:
        """Return images with their atoms, to be saved or measured; `shown_only` as of `table`."""
        return [
            FinishedImage(
                one.name,
                one.path or Path(one.name if one.layer is None else one.layer.name),
                one.index,
                sum(other.path == one.path and other.layer is one.layer for other in self.images),
                self._loader(one),
                self.table(one, shown_only=shown_only),
                self.prior(one),
                one.problem,
                *self._place(one),
            )
            for one in images
        ]

    def update(self, *_: Any) -> None:
        """Follow the layers of the viewer."""
        layers = self.session.images
        kept = []
        for one in self.images:
            if one.layer is None or one.layer in layers:
                kept.append(one)
            elif one.path is not None and one.path.is_file():  # closed, but still a file
                kept.append(ListedImage(one.name, path=one.path, index=one.index, thumbnail=one.thumbnail))
        known = {layer_id(one.layer) for one in kept if one.layer is not None}
        for layer in layers:
            if layer_id(layer) not in known:
                self._bind(layer, kept)
        if kept != self.images:
            self.images = kept
        self.changed.emit()

    # --- inside -------------------------------------------------------------------------------
    def _bind(self, layer: Image, kept: list[ListedImage]) -> None:
        """List the frames of a layer; those of a file in the list take its places there."""
        path = path_of(layer)
        shape = () if layer.rgb else (layer.data[0] if layer.multiscale else layer.data).shape[:-2]
        frames = list(np.ndindex(*shape))
        listed = [one for one in kept if path is not None and one.path == path and one.layer is None]
        for number, frame in enumerate(frames):
            at = next((one for one in listed if len(frames) == 1 or one.index == number), None)
            if at is None:
                text = f"{layer.name} [{', '.join(map(str, frame))}]" if frame else layer.name
                kept.append(ListedImage(text, layer, frame, path, number))
                continue
            listed.remove(at)
            at.layer, at.frame = layer, frame
            specimen = self.session.specimen(layer)
            specimen.prior = specimen.prior or at.prior
            if at.pixel_size is not None:
                if pixel_size_of(layer) is None or at.pixel_size_from != "file":
                    self.session.calibrate(layer, at.pixel_size, at.pixel_size_from)
                note_pixel_size_from(layer, at.pixel_size_from)
            if at.result is not None:
                self._land(at, layer, at.result)
                at.result = None

    def _land(self, image: ListedImage, layer: Image, result: FrameResult) -> None:
        assert result.table is not None
        table, session = result.table, self.session
        specimen = session.specimen(layer)
        specimen.prior = specimen.prior or image.prior
        if known_pixel_size(layer) is None:
            source = str(table.provenance.get("pixel_size_from", "file"))
            session.calibrate(layer, table.pixel_size, source)
        session.take_beside(layer, image.frame, Segmentation(table, specimen.prior, result.fit))

    def _waiting(self, number: int, image: ListedImage, with_prior: bool) -> WaitingImage:
        layer = image.layer
        size = image.pixel_size if image.pixel_size_from != "file" else None
        if layer is not None:
            size = known_pixel_size(layer) if pixel_size_from(layer) == "given" else None
        if with_prior:
            image.prior = self.prior(image) or self.session.prior
        inverted = layer is not None and is_inverted(layer)
        specimen = None if layer is None else self.session.specimen(layer)
        locked = specimen is not None and specimen.locked_on(image.frame)
        fit = specimen.fit_of(image.frame) if specimen is not None and locked else None
        return WaitingImage(number, image.name, self._loader(image), image.prior, size, inverted, fit)

    def _place(self, image: ListedImage) -> tuple[LatticeFit | None, bool]:
        """Return the fit of this very image or frame, and whether bright and dark are exchanged."""
        if image.layer is None:
            result = image.result
            if result is None or result.table is None:
                return None, False
            return result.fit, bool(result.table.provenance.get("inverted"))
        return self.session.specimen(image.layer).own_fit(image.frame), is_inverted(image.layer)

    def _loader(self, image: ListedImage) -> partial[Micrograph]:
        if image.layer is not None:
            return partial(micrograph_from_layer, image.layer, (*image.frame, 0, 0))
        assert image.path is not None
        return partial(self._files.frame, image.path, image.index)

    def _atoms_of(self, image: ListedImage) -> tuple[dict[str, Any], NDArray[Any] | None, Prior | None, bool]:
        """Return provenance and status of the atoms of an image, its prior, and whether it was corrected."""
        prior = self.prior(image)
        if image.layer is None:
            table = None if image.result is None else image.result.table
            if table is None:
                return {}, None, prior, False
            return table.provenance, table.rows["status"].to_numpy(), prior, False
        editor = self.session.specimen(image.layer).editor
        history = None if editor is None else editor.histories.get(image.frame)
        if editor is None or history is None or (not len(history) and not history.steps):
            return {}, None, prior, False
        corrected = any(step.who for step in history.steps[: history.position])
        return editor.provenance_of(image.frame), history.column("status"), prior, corrected

    def _on_atoms(self, *_: Any) -> None:
        if (at := self.current) >= 0:
            self.image_changed.emit(at)

    def _on_current(self, *_: Any) -> None:
        self.current_changed.emit()

    def _on_any(self, *_: Any) -> None:
        self.image_changed.emit(-1)


def _show(layers: Any, session: Session, image: Image, on: bool) -> None:
    """Show or hide an image and its atoms."""
    image.visible = on
    editor = session.specimen(image).editor
    if editor is not None and editor.layer in layers:
        editor.layer.visible = on
