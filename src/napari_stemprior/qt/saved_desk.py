"""What a desk has, as a session file holds it; and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Shapes

from napari_stemprior.atoms import AtomHistory
from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.jobs.journal_service import JournalService, states_of
from napari_stemprior.qt.layers.atom_layers import KEY, micrograph_from_layer, of_role, path_of
from napari_stemprior.qt.layers.image_notes import (
    is_inverted,
    known_pixel_size,
    mask_text_of,
    pixel_size_from,
)
from napari_stemprior.qt.listed_image import ListedImage
from napari_stemprior.qt.panels.segment_panel import SegmentPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.edit_context import EditContext
from napari_stemprior.workflow.open_session import OpenedImage, OpenedSession
from napari_stemprior.workflow.save_session import PIXELS_SUFFIX, Unsaved
from napari_stemprior.workflow.segment_frame import FrameResult
from napari_stemprior.workflow.session_file import SavedImage, SavedSession
from napari_stemprior.workflow.session_values import SHAPES


class SavedDesk:
    """Gathers what a desk has, and gives it back.

    Parameters
    ----------
    session : Session
    images : ImageList
    segment_panel : SegmentPanel
    journal_service : JournalService
    """

    def __init__(
        self,
        session: Session,
        images: ImageList,
        segment_panel: SegmentPanel,
        journal_service: JournalService,
    ) -> None:
        self.session = session
        self.images = images
        self.segment_panel = segment_panel
        self.journal_service = journal_service

    # --- out of the desk ----------------------------------------------------------------------
    def gather(self) -> tuple[SavedSession, list[Unsaved]]:
        """Return what is there now; nothing that is edited later changes it."""
        session = self.session
        layers = session.images
        chosen = layers.index(session.image) if session.image in layers else -1
        images = [self._layer(layer) for layer in layers]
        images += [
            Unsaved(_listed(one))
            for one in self.images.images
            if one.layer is None and one.path is not None and not one.problem
        ]
        camera = session.viewer.scene.camera
        view = (float(camera.center[-2]), float(camera.center[-1]), float(camera.zoom))
        return SavedSession((), chosen, session.frame, self.segment_panel.settings, view), images

    def _layer(self, layer: Image) -> Unsaved:
        session = self.session
        session.adopt_atoms(layer)
        specimen = session.specimen(layer)
        prior, fit = specimen.prior, specimen.fit
        fit = fit if fit is not None and fit.prior == prior else None
        states = () if specimen.editor is None else tuple(map(_copied, states_of(specimen.editor)))
        data = layer.data[0] if layer.multiscale else layer.data
        path = path_of(layer)
        has_file = path is not None and path.exists() and path.parent.suffix != PIXELS_SUFFIX
        if layer.rgb and not has_file:
            data = micrograph_from_layer(layer).image
        saved = SavedImage(
            layer.name,
            Path(os.path.abspath(path)) if path is not None else Path(layer.name),
            EditContext(
                known_pixel_size(layer),
                pixel_size_from(layer),
                is_inverted(layer),
                prior,
                fit,
                mask_text_of(layer),
            ),
            shape=tuple(map(int, data.shape)),
            dtype=str(data.dtype),
            visible=bool(layer.visible),
            fits={frame: one for frame, one in specimen.fits.items() if one.prior == prior},
            states=tuple(state for state in states if len(state.history) or state.history.steps),
            reviewed=tuple(one.frame for one in self.images.images if one.layer is layer and one.reviewed),
            region=_region(of_role(session.viewer.layers, "region", layer)),
            journals=tuple(self.journal_service.marks(layer)),
        )
        return Unsaved(saved, data, has_file, layer.rgb and has_file)

    # --- back to the desk ---------------------------------------------------------------------
    def waiting(self) -> list[OpenedSession]:
        """Return the sessions that a reader has opened and no desk has taken up."""
        found = (image.metadata.get(KEY, {}).get("opened") for image in self.session.images)
        return list(dict.fromkeys(opened for opened, _ in filter(None, found)))

    def taking_up(self, opened: OpenedSession) -> Iterator[None]:
        """Take up a session whose layers are in the viewer, in pieces of which none is long."""
        session = self.session
        ours: list[tuple[OpenedImage, Image]] = []
        for image in session.images:
            about = image.metadata.get(KEY, {}).get("opened")
            if about is not None and about[0] is opened:
                del image.metadata[KEY]["opened"]
                ours.append((about[1], image))
        for one, image in ours:
            session.adopt_atoms(image)
            for listed in self.images.images:
                if listed.layer is image:
                    listed.reviewed = listed.frame in one.saved.reviewed
            yield
        for one in opened.images:
            if not one.saved.is_open:
                self.images.add_saved(_to_list(one.saved))
        self.segment_panel.take_settings(opened.saved.settings)
        yield
        chosen = next((image for one, image in ours if one.number == opened.saved.chosen), None)
        if chosen is not None:
            self._choose(chosen, opened.saved.frame)
            if opened.saved.view is not None:
                y, x, zoom = opened.saved.view
                camera = session.viewer.scene.camera
                camera.center, camera.zoom = (*camera.center[:-2], y, x), zoom
        yield
        self.images.image_changed.emit(-1)

    def _choose(self, image: Image, frame: tuple[int, ...]) -> None:
        session = self.session
        session.choose_image(image)
        for axis, at in enumerate(frame[: max(image.ndim - 2, 0)]):
            session.viewer.dims.set_current_step(axis, at)
        editor = session.editor
        session.activate(image if editor is None else editor.layer)


def _copied(state: FrameState) -> FrameState:
    return replace(state, history=state.history.copy())


def _region(layer: Any) -> tuple[tuple[str, list[list[float]]], ...]:
    if not isinstance(layer, Shapes):
        return ()
    return tuple(
        (str(kind), np.asarray(corners, float)[:, -2:].tolist())
        for kind, corners in zip(layer.shape_type, layer.data, strict=True)
        if str(kind) in SHAPES
    )


def _listed(one: ListedImage) -> SavedImage:
    """Return a file of the list that is not open, with what was found on it."""
    assert one.path is not None
    result = one.result
    table = None if result is None else result.table
    fit = None if result is None else result.fit
    prior = one.prior if fit is None else fit.prior
    states = () if table is None else (
        FrameState((), AtomHistory(table.rows), table.pixel_size, dict(table.provenance)),
    )  # fmt: skip
    return SavedImage(
        one.name,
        Path(os.path.abspath(one.path)),
        EditContext(one.pixel_size, one.pixel_size_from, False, prior, fit),
        is_open=False,
        index=one.index,
        states=states,
        reviewed=((),) if one.reviewed else (),
    )


def _to_list(saved: SavedImage) -> ListedImage:
    context = saved.context
    result = None
    if saved.states:
        (state,) = saved.states[:1]
        result = FrameResult(0, state.table, fit=context.fit)
    return ListedImage(
        saved.name,
        path=saved.path,
        index=saved.index,
        prior=context.prior,
        pixel_size=context.pixel_size,
        pixel_size_from=context.pixel_size_from,
        result=result,
        reviewed=bool(saved.reviewed),
    )
