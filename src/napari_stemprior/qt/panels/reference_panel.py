"""Step 3: what the prior would look like in the microscope."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, shape_of
from napari_stemprior.qt.layers.comparison import Comparison, ComparisonMode
from napari_stemprior.qt.layers.montage_layers import montage_layers
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.panels.section import Fold, small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.comparison_box import ComparisonBox
from napari_stemprior.qt.widgets.montage_form import MontageForm
from napari_stemprior.qt.widgets.simulation_form import SimulationForm
from napari_stemprior.registration.lattice_fit import layer_poses
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow.fit_lattice import known_pixel_size
from napari_stemprior.workflow.manual_fit import start_pose
from napari_stemprior.workflow.montage_ranking import ranked_montage, told
from napari_stemprior.workflow.reference import (
    Reference,
    ReferenceSettings,
    counted,
    difference,
    montage,
    multislice,
    reference,
    write_reference,
)
from napari_stemprior.workflow.strained_pose import drawn_poses

if TYPE_CHECKING:  # it loads torch, which is not needed before there is a montage
    import numpy as np

    from napari_stemprior.optics.montage import Montage

_SIMULATE = "Simulate reference"
#: Side in px beyond which a reference shows nothing new.
_LARGEST = 2048


class ReferencePanel(Panel):
    """Simulates the prior with the settings of an instrument, and compares it with the micrograph.

    The slow multislice runs beside other work, in a runner of its own.
    """

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        #: Runs what takes minutes, while fitting and segmenting go on.
        self.background = JobRunner(self)
        #: Draws the noise, which is done at once.
        self._counter = JobRunner(self)
        self.comparison = Comparison(session)
        self.simulation_form = SimulationForm()
        self.instrument_form = self.simulation_form.instrument_form
        self.instrument, self.engine = self.instrument_form.preset, self.simulation_form.engine
        self.thickness, self.noise, self.dose = (
            self.simulation_form.thickness,
            self.simulation_form.noise,
            self.simulation_form.dose_box,
        )
        self.simulate = QPushButton(_SIMULATE)
        self.job = JobBar(self.background)
        self.comparison_box = ComparisonBox(self.comparison)
        self.mode, self.turn, self.save = (
            self.comparison_box.mode,
            self.comparison_box.turn,
            self.comparison_box.save,
        )
        self.note = small_label()
        self.montage_form = MontageForm()
        self.montage_fold = Fold(
            "Thickness–defocus montage",
            self.montage_form,
            "A picture of one cell for every thickness and defocus.",
        )
        #: The image that is worked on.
        self._for_image = ""
        #: What a multislice preview has shown and what is to be refined.
        self._to_refine: ReferenceSettings | None = None
        self._suited: str | None = None

        for item in (
            self.simulation_form,
            self.simulate,
            self.job,
            self.comparison_box,
            self.note,
            self.montage_fold,
        ):
            self.add(item)

        self.simulate.clicked.connect(self.start)
        self.engine.currentTextChanged.connect(self._on_engine)
        self.simulation_form.changed.connect(self.refresh)
        self.simulation_form.dose_changed.connect(self._count)
        self.comparison_box.difference_wanted.connect(self._start_difference)
        self.save.clicked.connect(self.ask_file)
        self.montage_form.simulate.clicked.connect(self.start_montage)
        self.comparison.changed.connect(self._on_compared)
        self.background.failed.connect(tell)
        self.background.busy_changed.connect(self._on_background)
        self._counter.busy_changed.connect(self._on_counter)
        self.runner.busy_changed.connect(self.refresh)
        session.image_changed.connect(self._on_image)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        self._on_image()
        self.refresh()

    def close_views(self) -> None:
        """Stop the background work and let go of the viewer."""
        self._to_refine = None
        self._counter.busy_changed.disconnect(self._on_counter)
        self.background.cancel()
        self.comparison.changed.disconnect(self._on_compared)
        self.comparison_box.close_views()

    def refresh(self, *_: Any) -> None:
        """Show what can be simulated and compared."""
        session = self.session
        obstacles = (
            "" if session.image is not None else NO_IMAGE,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            self.instrument_form.trouble,
        )
        slow = self.simulation_form.engine_name == "multislice"
        stacked = session.prior is not None and session.prior.crystal is None
        busy = self.background.busy or (self.runner.busy and not slow)
        allow(
            self.simulate,
            "Show a simulated image of the prior, at the same scale and turned as it was fitted.",
            *obstacles,
            "Multislice takes one crystal; choose the fast engine for a stack." if slow and stacked else "",
            self.simulation_form.obstacle,
            (BUSY if not self.background.busy else "A reference is being simulated.") if busy else "",
        )
        repeats = session.prior is None or bool(session.prior.period)
        allow(
            self.thickness,
            "Thickness of the crystal along the beam.",
            "" if repeats else "This prior is a layer, which has its own thickness.",
        )
        self.comparison_box.refresh()
        allow(
            self.montage_form.simulate,
            "Simulate one cell for every thickness and defocus, and show them beside the micrograph.",
            "" if session.prior is not None else NO_PRIOR,
            self.instrument_form.trouble,
            self.simulation_form.obstacle,
            "A reference is being simulated." if self.background.busy else "",
        )
        reference = self.comparison.reference
        self.note.setText("" if reference is None else reference.text)
        self.note.setVisible(reference is not None)
        self.state_changed.emit("" if reference is None else reference.settings.instrument.name)
        if not self.runner.busy and not self.background.busy:
            self.simulate.setText(_SIMULATE)

    def start(self) -> None:
        """Simulate in a worker: the fast engine at once, multislice in the background."""
        wanted = self.wanted()
        if wanted is None:
            return
        operations = self.session.operations
        if self.simulation_form.engine_name == "fast":
            if self.run(reference(operations, wanted, self.simulation_form.dose), self._show):
                self.simulate.setText("Simulating…")
        elif self.background.start(
            multislice(operations, wanted, "preview", self.simulation_form.dose), self._on_preview
        ):
            self.job.follow()

    def wanted(self) -> ReferenceSettings | None:
        """Return what to simulate, or tell what is missing."""
        session = self.session
        prior = session.prior
        if prior is None:
            return None
        try:
            micrograph = session.micrograph()
            pixel_size = known_pixel_size(micrograph)
        except StempriorError as error:
            tell(error)
            return None
        assert session.image is not None  # it has a micrograph
        fit = session.fit
        if fit is None or not (fit.is_fit or fit.by_hand):
            poses: tuple[Any, ...] = (None,)  # a crystal lies along the image
            layers: tuple[StructurePrior, ...] = prior.layers
            if prior.crystal is None:
                poses = layer_poses(prior, start_pose(shape_of(session.image), pixel_size))
        else:
            poses, layers = drawn_poses(fit), fit.layers
        height, width = (min(n, _LARGEST) for n in micrograph.image.shape)
        self._for_image = self._image_id
        return ReferenceSettings(
            prior.name,
            layers,
            poses,
            self.instrument_form.instrument,
            pixel_size,
            (height, width),
            self.thickness.value(),
        )

    def start_montage(self) -> None:
        """Simulate a montage in the background."""
        session = self.session
        if session.prior is None:
            return
        prior = session.prior.layers[0]
        try:
            thicknesses, defoci = self.montage_form.values()
        except StempriorError as error:
            tell(error)
            return
        if not prior.period:
            thicknesses = [self.thickness.value()]  # a layer has its own; this only names the row
        work = montage(
            self.session.operations,
            prior,
            self.instrument_form.instrument,
            thicknesses,
            defoci,
            self.simulation_form.engine_name,
        )
        stacked = session.prior.crystal is None
        fit = None if stacked else session.fit
        if fit is not None and not (fit.is_fit or fit.by_hand):
            fit = None
        try:
            image = None if fit is None else session.recording().image
        except StempriorError as error:
            tell(error)
            return

        def show(found: tuple[Montage, NDArray[np.float64] | None]) -> None:
            made, scores = found
            self.montage_form.tell(told(made, scores, stacked=stacked, fitted=fit is not None))
            self._show_montage(made, prior.name, scores)

        if self.background.start(ranked_montage(work, image, prior, fit), show):
            self.job.follow()

    def ask_file(self) -> None:
        """Ask where to save the reference."""
        reference = self.comparison.reference
        if reference is None:
            return
        name = f"{reference.settings.name} {reference.settings.instrument.name}.tif".replace("/", "-")
        path, _ = QFileDialog.getSaveFileName(self, "Save the reference", name, "TIFF (*.tif *.tiff)")
        if path:
            self.export(Path(path))

    def export(self, path: Path) -> None:
        """Save the reference as it is shown."""
        reference = self.comparison.reference
        if reference is None:
            return
        if path.suffix.lower() not in (".tif", ".tiff"):
            path = path.with_name(path.name + ".tif")
        self.run(write_reference(path, reference), self._on_written)

    @property
    def _image_id(self) -> str:
        return "" if self.session.image is None else layer_id(self.session.image)

    def _on_written(self, path: Path) -> None:
        show_info(f"Saved the reference as {path}.")

    def _on_preview(self, reference: Reference) -> Iterator[None]:
        yield from self._show(reference)
        self._to_refine = reference.settings

    def _on_background(self, busy: bool) -> None:
        """Refine a preview, once the runner has let go of it."""
        wanted, self._to_refine = (self._to_refine, None) if not busy else (None, self._to_refine)
        if wanted is None:
            self.refresh()
            return
        work = multislice(self.session.operations, wanted, "final", self.simulation_form.dose)
        if self.background.start(work, self._on_refined):
            self.job.follow()

    def _on_refined(self, reference: Reference) -> Iterator[None]:
        yield from self._show(reference)
        show_info(f"The multislice reference of {reference.settings.name} is ready.")

    def _show(self, reference: Reference) -> Iterator[None]:
        """Show a reference, counted at the dose if a person wants that."""
        image = self.session.image
        known = image is not None and layer_id(image) == self._for_image
        if not known or reference.settings.pixel_size != self.session.pixel_size:
            return  # another image was chosen, or calibrated anew, meanwhile
        yield from self.comparison.showing(reference)
        self.refresh()

    def _count(self, *_: Any) -> None:
        """Draw the noise anew, or leave it out."""
        reference = self.comparison.reference
        if reference is not None and reference.dose != self.simulation_form.dose:
            self._for_image = self._image_id
            work = counted(reference, self.simulation_form.dose)
            self._counter.start(work, self._show)

    def _on_counter(self, busy: bool) -> None:
        if not busy:
            self._count()  # another dose may have been typed meanwhile

    def _show_montage(self, made: Montage, name: str, scores: NDArray[np.float64] | None) -> None:
        session = self.session
        at = (0.0, 0.0)
        self.comparison.set_mode(ComparisonMode.ALONE)
        if session.image is not None and session.pixel_size is not None:
            at = (0.0, 1.04 * shape_of(session.image)[1] * session.pixel_size)
        layers = montage_layers(made, name, at, scores)
        for layer in layers:
            session.viewer.add_layer(layer)
        session.activate(session.image)
        session.viewer.reset_view(layers=layers, margin=0.1)

    def _start_difference(self) -> None:
        reference = self.comparison.reference
        if reference is None:
            return
        try:
            micrograph = self.session.micrograph()
        except StempriorError as error:
            tell(error)
            return
        work = difference(micrograph.image, reference.clean)
        if not self.run(work, self.comparison.show_difference):
            self.refresh()

    def _on_engine(self, *_: Any) -> None:
        """Offer bright field with multislice alone."""
        news = self.simulation_form.offer_coherent()
        if news:
            show_info(news)
        self.refresh()

    def _on_image(self) -> None:
        """Take the beam energy from the file of another image."""
        image = self.session.image
        seen = None if image is None else layer_id(image)
        if seen == self._suited or image is None:
            return
        self._suited = seen
        self.instrument_form.suit(image.metadata.get(KEY, {}).get("source", {}))

    def _on_compared(self) -> None:
        self.refresh()
