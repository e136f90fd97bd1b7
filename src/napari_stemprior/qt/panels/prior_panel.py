"""Step 2: the crystal that the image should show, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt import samples
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import layer_id
from napari_stemprior.qt.layers.view import pixels_in_view
from napari_stemprior.qt.panels.manual_fit_panel import ManualFitPanel
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.panels.section import Fold, small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.cell_picture import CellPicture
from napari_stemprior.qt.widgets.column_table import ColumnTable
from napari_stemprior.qt.widgets.fit_text import facts_of, fit_sentence, second_lattice
from napari_stemprior.qt.widgets.grains_box import GrainsBox
from napari_stemprior.qt.widgets.mask_box import MaskBox
from napari_stemprior.qt.widgets.prior_choice import FileChoice, PriorCombo, StackChoice
from napari_stemprior.qt.widgets.suggestions import SuggestionList
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.lattice_fit import doubts
from napari_stemprior.registration.second_lattice import turn_between
from napari_stemprior.structure import Prior, structure_blocks
from napari_stemprior.workflow.fit_lattice import fit_lattice, follow_strain
from napari_stemprior.workflow.prior_groups import LAYERS, prior_groups
from napari_stemprior.workflow.read import load_structure
from napari_stemprior.workflow.suggest import part_of, suggest

_FIT = "Fit to image"
_SUGGEST = "Suggest"


class PriorPanel(Panel):
    """Chooses the prior, draws it and lays it on the image."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        #: What was found for each image.
        self._found: dict[str, tuple[list[Any], float | None]] = {}
        self._structures = samples.structures()
        groups = prior_groups()
        self.names = PriorCombo(
            {**groups, **({"Samples": list(self._structures)} if self._structures else {})},
            "Search, e.g. MoS2",
        )
        self.names.setToolTip(
            "<qt>The crystal that the image should show. Type a part of its name to search, or a stack such "
            "as <b>MoS2/WS2 twist 3.1</b>.</qt>"
        )
        self.suggest = QPushButton(_SUGGEST)
        self.in_view = QCheckBox("Suggest for what is in view only")
        self.suggestions = SuggestionList()
        self.file = FileChoice()
        self.stack = StackChoice(groups.get(LAYERS, [n for g in groups.values() for n in g]))
        self.open, self.axis = self.file.open, self.file.axis
        own = QWidget()
        own_rows = QVBoxLayout(own)
        own_rows.setContentsMargins(0, 0, 0, 0)
        own_rows.addWidget(self.file)
        own_rows.addWidget(self.stack)
        self.own_fold = Fold(
            "Own file or stack", own, "Take a crystal from a file, or lay layers on top of each other."
        )
        self.picture = CellPicture()
        self.facts = small_label()
        self.columns = ColumnTable()
        self.columns_fold = Fold("Atom columns", self.columns, "The atom columns of one projected cell.")
        self.fit = QPushButton(_FIT)
        self.overlay = QCheckBox("Show the lattice")
        self.status = small_label()
        self.mask_box = MaskBox(session)
        self.grains = GrainsBox(session, runner)
        self.manual_fit = ManualFitPanel(session, runner)
        self.manual_fit_fold = Fold(
            "Fit by hand", self.manual_fit, "Lay the lattice on the image with the mouse."
        )
        self.job = JobBar(runner)

        names_row = QHBoxLayout()
        names_row.addWidget(self.names, 1)
        names_row.addWidget(self.suggest)
        fit_row = QHBoxLayout()
        fit_row.addWidget(self.fit, 1)
        fit_row.addWidget(self.overlay)
        self.form().addRow("Prior", names_row)
        for item in (
            self.in_view,
            self.suggestions,
            self.own_fold,
            self.picture,
            self.facts,
            self.columns_fold,
            self.mask_box,
            fit_row,
            self.status,
            self.grains,
            self.manual_fit_fold,
            self.job,
        ):
            self.add(item)

        self.names.chosen.connect(self.pick)
        self.stack.chosen.connect(self.pick)
        self.suggest.clicked.connect(self.start_suggest)
        self.suggestions.chosen.connect(self._on_suggestion)
        self.file.chosen.connect(self._load)
        self.file.normal.toggled.connect(self.refresh)
        self.fit.clicked.connect(self.start_fit)
        self.overlay.clicked.connect(self._on_overlay)
        self.manual_fit.started.connect(self.job.follow)
        self.manual_fit_fold.toggled.connect(self._on_manual_fit_fold)
        self.runner.busy_changed.connect(self.refresh)
        session.prior_changed.connect(self._show_prior)
        session.image_changed.connect(self._show_suggestions)
        for signal in (
            session.image_changed,
            session.prior_changed,
            session.pose_changed,
            session.images_changed,
        ):
            signal.connect(self.refresh)
        self._show_prior()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what can be done and how well the lattice fits."""
        session = self.session
        busy = BUSY if self.runner.busy else ""
        no_image = "" if session.image is not None else NO_IMAGE
        allow(
            self.suggest,
            "Try every crystal of the library on the image and list those that fit, with their pixel size.",
            no_image,
            busy,
        )
        allow(
            self.in_view,
            "Zoom to a grain or a particle and press Suggest: the rest of the image is not looked at.",
            no_image,
            busy,
        )
        allow(
            self.open,
            "Take a crystal from a file: CIF, POSCAR, extxyz or any other that ASE reads.",
            busy,
        )
        allow(
            self.axis,
            "Beam direction [uvw] for your own file, such as 001, 1-10 or hexagonal 11-20; empty: the "
            "structure as it lies, beam along its z axis.",
            "" if self.file.path else "A built-in prior has its own zone axis; open a file to choose one.",
            "" if not self.file.normal.isChecked() else "The beam goes along the normal of the layers.",
        )
        allow(
            self.file.normal,
            "Look along the normal of the layers, in triclinic and monoclinic crystals no zone axis.",
            "" if self.file.path else "A built-in prior has its own zone axis; open a file to choose one.",
        )
        allow(
            self.fit,
            "Find rotation, mirror and origin of the lattice on the image, and follow it through strain.",
            no_image,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            busy,
        )
        fit = session.fit
        self.overlay.setChecked(session.overlay is not None)
        allow(
            self.overlay,
            "Draw the lattice over the image, in a layer of its own; faint where the image does not show it.",
            "" if fit is not None else "Fit the lattice to the image first.",
        )
        self.status.setText("" if fit is None else fit_sentence(fit, session.pixel_size))
        self.status.setVisible(fit is not None)
        name = "" if session.prior is None else session.prior.name
        mark = "" if fit is None else "by hand: " if fit.by_hand else "no fit: "
        if fit is not None and fit.is_fit:
            mark = "reservation: " if fit.reservations else "fitted: "
        self.state_changed.emit(mark + name)
        if not busy:
            self.fit.setText(_FIT)
            self.suggest.setText(_SUGGEST)

    def pick(self, name: str) -> None:
        """Choose a built-in prior, a stack, or the structure of a sample, by its name."""
        prior = self.session.prior
        if prior is not None and name == prior.name and not self.file.path:
            return
        if name in self._structures:
            self.file.as_it_lies()
            self.load_file(str(self._structures[name]))
            return
        try:
            prior = self.session.operations.load_prior(name, "")
        except StempriorError as error:
            tell(error)
            self.names.keep_text(name)  # a slip of the finger is mended, not typed anew
            return
        self.file.forget()
        self._take(prior)

    def load_file(self, path: str) -> None:
        """Take a prior from a structure file, with the zone axis that is typed."""
        self.file.take(path)

    def start_fit(self) -> None:
        """Fit the lattice in a worker."""
        session = self.session
        if session.prior is None:
            return
        self.manual_fit.stop()
        try:
            micrograph = session.micrograph()
        except StempriorError as error:
            tell(error)
            return
        work = fit_lattice(session.operations, micrograph, session.prior, session.locked)
        if self.run(work, self._on_fitted):
            self.job.follow()
            self.fit.setText("Fitting…")

    def start_suggest(self) -> None:
        """Rank the library for the image, or for what is in view of it, in a worker."""
        session = self.session
        try:
            micrograph, part = session.micrograph(), None
            if self.in_view.isChecked() and session.image is not None:
                low, high = pixels_in_view(session.viewer, session.image)
                part = part_of(micrograph.image.shape, low.tolist(), high.tolist())
        except StempriorError as error:
            tell(error)
            return
        if self.run(suggest(session.operations, micrograph, part=part), self._on_ranked):
            self.job.follow()
            self.suggest.setText("Looking…")

    def _on_ranked(self, suggestions: list[Any]) -> None:
        if self.session.image is not None:
            self._found[layer_id(self.session.image)] = suggestions, self.session.pixel_size
        self._show_suggestions()
        if not suggestions or not suggestions[0].is_fit:
            show_warning(
                "No crystal of the library fits this image; check the pixel size in step 1, take a larger "
                "field, or open your own structure file."
            )
        else:
            best = suggestions[0]
            show_info(
                f"{best.name} fits best (score {best.score:.2f}){doubts(best.pose.reservations)}; "
                "click a line to take it."
            )

    def _on_suggestion(self, suggestion: Any) -> None:
        self.pick(suggestion.name)
        session = self.session
        if session.prior is None or session.prior.name != suggestion.name:
            return
        if session.pixel_size is None:
            session.set_pixel_size(suggestion.pixel_size, "lattice")
        fit = LatticeFit(session.prior, (suggestion.pose,))
        session.set_fit(fit)
        work = follow_strain(session.operations, session.micrograph(), fit)
        self.run(work, self._on_followed)  # the ranking looked for no strain
        if session.overlay is None:  # a new layer is a piece of work of its own
            in_turns(self, self._show_overlay(fit))

    def _show_overlay(self, fit: LatticeFit) -> Iterator[None]:
        yield
        if self.session.fit is not None and self.session.fit.pose is fit.pose:
            yield from self.session.showing_overlay()
            self.refresh()

    def _on_followed(self, fit: LatticeFit) -> None:
        known = self.session.fit
        if known is not None and known.same_place(fit):
            self.session.set_fit(fit)

    def _on_fitted(self, fit: LatticeFit) -> None:
        session = self.session
        session.set_fit(fit)
        pose, name = fit.pose, fit.prior.name
        if not pose.is_fit:
            session.show_overlay(False)
            self.refresh()
            show_warning(
                f"The lattice of {name} does not fit (score {pose.score:.2f}); "
                "check the pixel size in step 1, press Suggest, or fit by hand."
            )
            return
        session.take_scale(pose)
        if session.overlay is None:  # a shown one has followed
            session.show_overlay(True)
            self.refresh()
        second = second_lattice(fit)
        if second is not None:
            turned = turn_between(pose.affine, second.affine, fit.layers[0])
            show_warning(
                f"Two lattices of {name} fit, turned by {turned:.1f}° to each other; segment them as two "
                "grains, or choose a stack under 'Own file or stack' if one lies above the other."
            )
        else:
            show_info(f"The lattice of {name} fits (score {pose.score:.2f}){doubts(fit.reservations)}.")

    def _load(self, path: str, axis: str, block: str) -> None:
        if self.runner.busy:
            return
        self.file.show_blocks(structure_blocks(path))
        work = load_structure(self.session.operations, path, axis, block)
        self.run(work, self._take)

    def _on_overlay(self, checked: bool) -> None:
        self.session.show_overlay(checked)
        self.refresh()

    def _on_manual_fit_fold(self, expanded: bool) -> None:
        if not expanded:
            self.manual_fit.stop()

    def _show_suggestions(self, *_: Any) -> None:
        """Show what was found for the chosen image; another pixel size leaves it."""
        image = self.session.image
        found, stated = ([], None) if image is None else self._found.get(layer_id(image), ([], None))
        self.suggestions.show_suggestions(found, stated)

    def _take(self, prior: Prior) -> None:
        self.session.set_prior(prior)
        self._show_prior()
        self.refresh()
        if prior.remarks:
            show_warning(" ".join(prior.remarks))

    def _show_prior(self) -> None:
        prior = self.session.prior
        self.picture.set_prior(prior)
        self.columns_fold.setVisible(prior is not None)
        self.facts.setVisible(prior is not None)
        self.columns.set_prior(prior)
        if prior is None:
            self.names.setCurrentIndex(-1)
            return
        self.names.show_name(prior.name)
        self.facts.setText(facts_of(prior))
        self.facts.setToolTip(f"<qt>{prior.source}</qt>")
