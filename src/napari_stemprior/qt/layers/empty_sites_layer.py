"""The empty sites: lattice sites without an atom, which one key turns into an atom or into a vacancy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_stemprior.atoms.review_queue import empty
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.image_context import REACH, ImageContext
from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like
from napari_stemprior.qt.layers.insertion import insert_beside, reveal
from napari_stemprior.qt.layers.palette import element_colour
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.structure.lattice_sites import LatticeSites

#: More empty sites than this say that the lattice does not fit, and are not drawn.
LIMIT = 5000
#: A site counts where the lattice is seen so well.
_SEEN = 0.5
_NAME = _ROLE = "empty sites"


class EmptySitesLayer:
    """A layer with the empty sites, kept in step with the atoms.

    Parameters
    ----------
    context : ImageContext
    """

    def __init__(self, context: ImageContext) -> None:
        self.context = context
        self.wanted = False
        #: Indices of the drawn sites into `sites`.
        self.index: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def sites(self) -> LatticeSites | None:
        """The sites of the lattice, empty or not."""
        return self.context.sites()

    @property
    def editor(self) -> AtomEditor | None:
        """The atoms of the chosen image."""
        return self.context.session.editor

    @property
    def layer(self) -> Points | None:
        """The layer, while it is shown."""
        image = self.context.session.image
        if image is None:
            return None
        for layer in self.context.session.viewer.layers:
            kept = layer.metadata.get(KEY, {})
            ours = kept.get("role") == _ROLE and kept.get("image") == layer_id(image)
            if ours and isinstance(layer, Points):
                found: Points = layer
                return found
        return None

    def update(self) -> None:
        """Draw the empty sites of the present atoms, or take the layer away."""
        for _ in self.updating():
            pass

    def updating(self) -> Iterator[None]:
        """Do so in pieces of which none is long."""
        session = self.context.session
        occupancy = self.context.occupancy() if self.wanted else None
        editor, shape = session.editor, self.context.shape
        layer = self.layer
        if occupancy is None or editor is None or shape is None:
            self.index = np.empty(0, np.int64)
            if layer is not None:
                remove_layer(session.viewer, layer)
            return
        sites = occupancy.sites
        inside = ((sites.yx >= 0) & (sites.yx <= np.asarray(shape) - 1)).all(axis=1)
        index = np.flatnonzero(inside & (sites.reliability >= _SEEN) & empty(editor.rows, occupancy))
        self.index = index if len(index) <= LIMIT else index[:0]
        if layer is not None:
            self._fill(layer, sites)
            return
        layer = self._make()
        yield
        self._fill(layer, sites)
        reveal(session.viewer, layer)

    def nearest(self, yx: NDArray[np.float64]) -> int | None:
        """Return the drawn site within reach of a pixel, or None."""
        sites = self.sites
        if sites is None or not len(self.index):
            return None
        distance = np.hypot(*(sites.yx[self.index] - yx).T)
        at = int(np.argmin(distance))
        return int(self.index[at]) if distance[at] <= REACH * self.context.spacing else None

    def fill(self, site: int) -> None:
        """Put an atom on a site, where the image has it."""
        self.settle([site], "add", status="accepted")

    def confirm(self, site: int) -> None:
        """Mark a site as a vacancy."""
        self.settle([site], "vacancy", status="vacancy")

    def settle(self, chosen: Sequence[int], label: str, *, status: str) -> None:
        """Put an atom or a vacancy on each of some sites, as one edit.

        Parameters
        ----------
        chosen : sequence of int
            Indices of sites.
        label : str
            What the history calls it.
        status : str
            ``"accepted"`` for an atom, which goes to the bright spot at the site, or ``"vacancy"``.
        """
        editor, sites = self.context.session.editor, self.sites
        if editor is None or sites is None or not len(chosen):
            return
        index = np.asarray(chosen, int)
        yx = sites.yx[index].copy()
        if status != "vacancy":
            for number, place in enumerate(yx):
                found = self.context.snap(place)
                if np.hypot(*(found - place)) <= sites.reach / 2:
                    yx[number] = found
        elements = sites.element[index].astype(str)
        editor.add(
            yx,
            f"{label} {elements[0]}" if len(set(elements)) == 1 else label,
            element=elements.tolist(),
            site=[str(site) for site in sites.site[index]],
            layer=sites.layer[index].astype(int).tolist(),
            status=status,
        )

    def _make(self) -> Points:
        session = self.context.session
        image, editor = session.image, session.editor
        assert image is not None
        assert editor is not None
        layer: Points = Points(
            np.empty((0, 2)),
            name=_NAME,
            symbol="diamond",
            face_color="transparent",
            border_width=0.1,
            size=editor.layer.current_size * 0.8,
            metadata={KEY: {"role": _ROLE, "image": layer_id(image)}},
            **placed_like(image),
        )
        layer.visible = False  # to draw a layer for the first time is a piece of work of its own
        layer.editable = False  # an empty site is no atom: keys and the queue act on it
        insert_beside(session.viewer, session.viewer.layers.index(editor.layer), layer)
        return layer

    def _fill(self, layer: Points, sites: LatticeSites) -> None:
        yx = sites.yx[self.index]
        if len(yx) == len(layer.data) and np.array_equal(yx, layer.data):
            return
        colours = np.array([(*element_colour(str(e)), 0.75) for e in sites.element[self.index]])
        with layer.events.blocker_all(), layer._border.events.blocker_all():
            layer.data = yx
            if len(yx):
                layer.border_color = colours
        layer.refresh()


def hint(count: int) -> str:
    """Say what the empty sites are, for a person."""
    if not count:
        return "Every site of the lattice is taken."
    return f"{count} empty sites (faint diamonds): <b>I</b> puts an atom there, <b>O</b> marks a vacancy."
