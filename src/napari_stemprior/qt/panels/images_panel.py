"""All images: segmented, gone through and saved together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMessageBox, QPushButton

from napari_stemprior.errors import MicrographError, StempriorError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.listed_image import THUMBNAIL, ListedImage
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.image_table import ImageTable
from napari_stemprior.qt.widgets.leave_out_box import ask_to_leave_out
from napari_stemprior.workflow.count_doubts import doubts_in_words
from napari_stemprior.workflow.file_frames import FileContent, look_into_files, read_frames
from napari_stemprior.workflow.image_sources import image_files
from napari_stemprior.workflow.save_all import save_pairs, save_results
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.segment_all import segment_all
from napari_stemprior.workflow.segment_frame import FrameResult
from napari_stemprior.workflow.suggest_all import SuggestedPrior, suggest_all

#: Keys of the whole window that go through the images.
NEXT_KEY, PREVIOUS_KEY = "Control-PageDown", "Control-PageUp"


class ImagesPanel(Panel):
    """The table of all images, and what is done with all of them.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    settings : callable
        Returns how step 4 is set.
    """

    #: The folder to which training pairs were saved.
    pairs_saved = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, settings: Callable[[], SegmentSettings]) -> None:
        super().__init__(session, runner)
        self._settings = settings
        self.images = ImageList(session)
        self.table = ImageTable(self.images)
        #: What the worker has handed over: a frame's result or a file's content, and where it belongs.
        self._arrived: deque[tuple[ListedImage | None, Any]] = deque()
        #: Suggestions that the image does not tell from others, with its name.
        self._ties: list[tuple[str, SuggestedPrior]] = []
        self._ours = False
        #: Reads a file that is to be opened, also while others are segmented.
        self._opener = JobRunner(self)
        self._opener.failed.connect(tell)
        self.add_folder = QPushButton("Add folder…")
        self.copy = QPushButton("Copy prior and pixel size")
        self.suggest = QPushButton("Suggest priors")
        self.segment = QPushButton("Segment all")
        self.previous, self.next = QPushButton("Previous"), QPushButton("Next")
        self.results = QPushButton("Save results…")
        self.pairs = QPushButton("Save training set…")
        self.job = JobBar(runner)
        self.said = small_label()
        for row in (
            (self.add_folder, self.suggest),
            (self.copy,),
            (self.segment, self.previous, self.next),
            (self.results, self.pairs),
        ):
            line = QHBoxLayout()
            for button in row:
                line.addWidget(button, 1)
            self.add(line)
            if row[0] is self.segment:
                self.add(self.table)
        self.add(self.job)
        self.add(self.said)
        self.add_folder.clicked.connect(self.ask_folder)
        self.copy.clicked.connect(self._on_copy)
        self.suggest.clicked.connect(self.start_suggest)
        self.segment.clicked.connect(self.start)
        self.previous.clicked.connect(lambda: self.go(-1))
        self.next.clicked.connect(lambda: self.go(1))
        self.results.clicked.connect(self.ask_results)
        self.pairs.clicked.connect(self.ask_pairs)
        self.table.wanted.connect(self.show_image)
        self.table.rows.dataChanged.connect(self.refresh)
        self.table.rows.modelReset.connect(self.refresh)
        runner.busy_changed.connect(self._on_busy)
        runner.progressed.connect(self._take_arrived)
        session.viewer.bind_key(NEXT_KEY, lambda viewer: self.go(1), overwrite=True)
        session.viewer.bind_key(PREVIOUS_KEY, lambda viewer: self.go(-1), overwrite=True)
        self.refresh()

    def close_list(self) -> None:
        """Let go of the viewer; what was found stays in its layers."""
        for key in (NEXT_KEY, PREVIOUS_KEY):
            self.session.viewer.bind_key(key, None)
        self._opener.cancel()
        self._arrived.clear()
        self.table.close_model()
        self.images.close()

    def refresh(self, *_: Any) -> None:
        """Show what can be done."""
        listed = self.images.images
        summaries = [self.table.rows.summary(row) for row in range(self.table.rows.rowCount())]
        done = sum(summary.atoms is not None for summary in summaries)
        reviewed = sum(image.reviewed for image in listed)
        busy = BUSY if self.runner.busy else ""
        empty = "" if listed else f"{NO_IMAGE} Or add a folder."
        none = "" if done else "Segment the images first."
        allow(
            self.add_folder,
            "List every image of a folder, each frame of a stack. They are opened one by one, when you click "
            "them.",
            busy,
        )
        allow(
            self.copy,
            "Give every image the prior and the pixel size of the one that is open now. Atoms stay.",
            "" if len(listed) > 1 else "There is only one image.",
            "" if self.session.image is not None else NO_IMAGE,
            busy,
        )
        allow(
            self.suggest,
            "Try every crystal of the library on each image that has neither a prior nor atoms, in the "
            "background, and give it the one that fits best.",
            empty,
            "" if self.images.without_prior() else "Every image has a prior or atoms already.",
            busy,
        )
        allow(
            self.segment,
            "Find the atoms of every image in the background, with the settings of step 4, as 'stemprior "
            "segment' does. An image without a prior takes that of the open one. Corrections stay.",
            empty,
            "" if self._has_priors else "Pick a lattice prior in step 2, or tick 'Image alone' in step 4.",
            busy,
        )
        one = "" if len(listed) > 1 else "There is only one image."
        shown = {button: key.replace("Control", "Ctrl").replace("-", "+") for button, key in (
            (self.previous, PREVIOUS_KEY), (self.next, NEXT_KEY))}  # fmt: skip
        allow(self.previous, f"Open the image above in the table ({shown[self.previous]}).", empty, one)
        allow(self.next, f"Open the image below in the table ({shown[self.next]}).", empty, one)
        allow(
            self.results,
            "Write the atoms of every image as CSV, and the table of all, as the command line does.",
            none,
            busy,
        )
        allow(
            self.pairs,
            "Add the ticked images to a folder of training pairs; each counts as reviewed as a whole.",
            none,
            "" if reviewed else "Tick the images of which you have checked every atom.",
            busy,
        )
        self.table.show_current()
        doubts = sum(summary.doubts or 0 for summary in summaries)
        count = f"{len(listed)} image{'s' if len(listed) != 1 else ''}"
        text = f"{done} of {len(listed)} segmented, {doubts_in_words(doubts)}" if done else count
        self.state_changed.emit("running…" if self._ours else text if listed else "")

    # --- what a person does -------------------------------------------------------------------
    def ask_folder(self) -> None:
        """Ask for a folder of images."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of images")
        if folder:
            self.take_folder(Path(folder))

    def take_folder(self, folder: Path) -> None:
        """List the images of a folder; they are looked into in a worker."""
        try:
            files = image_files([folder], folder)
        except StempriorError as error:
            tell(error)
            return
        self._start(look_into_files(files, self._on_content, THUMBNAIL), self._on_looked)

    def start_suggest(self) -> None:
        """Look for a crystal for each image that has neither a prior nor atoms, in a worker."""
        images = self.images.without_prior()
        by_number = {self.images.images.index(image): image for image in images}

        def found(answer: SuggestedPrior) -> None:
            self._arrived.append((by_number[answer.number], answer))

        work = suggest_all(self.session.operations, self.images.waiting(images, prior=False), found)
        self._start(work, lambda done: self._on_suggested(done, images))

    def start(self) -> None:
        """Segment all images in a worker; what was corrected is asked about first."""
        images = list(self.images.images)
        corrected = [one for one in images if self.images.summary(one).corrected]
        if corrected:
            answer = self.ask_corrected(len(corrected))
            if answer is None:
                return
            if not answer:
                images = [one for one in images if one not in corrected]
        self.segment_images(images)

    def segment_images(self, images: list[ListedImage]) -> None:
        """Segment images in a worker, whether they are corrected or not; corrections stay."""
        by_number = {self.images.images.index(image): image for image in images}

        def finished(result: FrameResult) -> None:
            self._arrived.append((by_number[result.number], result))

        work = segment_all(self.session.operations, self.images.waiting(images), self._settings(), finished)
        self._start(work, lambda done: self._on_segmented(done, images))

    def ask_corrected(self, count: int) -> bool | None:
        """Ask what becomes of corrected images: True segments them too, False leaves them out, None stops."""
        return ask_to_leave_out(
            self,
            "Corrected images",
            f"{count} image{' has' if count == 1 else 's have'} corrections.",
            "Segmented again, atoms that nobody touched are found anew; every correction stays, and undo "
            "brings the old atoms back.",
            "Segment them too",
        )

    def go(self, step: int) -> None:
        """Open the image that many rows below the present one."""
        image = self.table.neighbour(step)
        if image is not None:
            self.show_image(image)

    def show_image(self, image: ListedImage) -> None:
        """Open an image of the list on the desk; one that is a file is read in a worker first."""
        if image.layer is None and image.path is not None:
            path = image.path
            self._opener.start(read_frames(path), lambda frames: self._on_read(image, path, frames))
            return
        try:
            self.images.show(image)
        except StempriorError as error:
            tell(error)
        self.refresh()

    def ask_results(self) -> None:
        """Ask for the folder of the results."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results (new or existing)")
        if folder:
            self.write_results(Path(folder))

    def write_results(self, folder: Path) -> None:
        """Write the atoms of all images and the table of all in a worker."""
        images = [one for one in self.images.images if one.problem or self.images.table(one) is not None]
        work = save_results(self.images.finished(images), folder)
        self._start(work, lambda table: self._tell(f"Saved {table.name} and the atoms in {table.parent}"))

    def ask_pairs(self) -> None:
        """Say what is still open in the ticked images, and ask for the folder of training pairs."""
        waiting = sum(self.images.summary(one).doubts or 0 for one in self._reviewed)
        if waiting:
            are = "is" if waiting == 1 else "are"
            text = f"{doubts_in_words(waiting)} of the ticked images {are} open and would count as checked."
            answer = QMessageBox.question(self, "Doubts that are still open", f"{text} Save anyway?")
            if answer != QMessageBox.StandardButton.Yes:
                return
        folder = QFileDialog.getExistingDirectory(self, "Folder of training pairs (new or existing)")
        if folder:
            self.write_pairs(Path(folder))

    def write_pairs(self, folder: Path) -> None:
        """Save the ticked images as training pairs in a worker."""

        def saved(count: int) -> None:
            self._tell(f"Saved {count} training pairs in {folder}")
            self.pairs_saved.emit(folder)

        self._start(save_pairs(self.images.finished(self._reviewed), folder), saved)

    # --- inside -------------------------------------------------------------------------------
    @property
    def _reviewed(self) -> list[ListedImage]:
        return [image for image in self.images.images if image.reviewed]

    @property
    def _has_priors(self) -> bool:
        """Whether every image has a prior to be segmented with, or needs none."""
        if not self._settings().with_prior or self.session.prior is not None:
            return True
        return all(self.images.prior(image) is not None for image in self.images.images)

    def _start(self, work: Any, done: Callable[[Any], None]) -> None:
        self.said.setText("")
        self._ours = True
        if self.runner.start(work, done):
            self.job.follow()
        else:
            self._ours = False
        self.refresh()

    def _on_content(self, content: FileContent) -> None:
        self._arrived.append((None, content))  # in the worker's thread

    def _take_arrived(self, progress: Progress | None = None) -> None:
        """Take what the worker has handed over since, in the main thread."""
        while self._arrived:
            image, arrived = self._arrived.popleft()
            if image is None:
                self.images.add_file(arrived)
            elif isinstance(arrived, SuggestedPrior):
                if image in self.images.images:
                    self.images.take_prior(image, arrived.prior, arrived.problem)
                if arrived.alike:
                    self._ties.append((image.name, arrived))
            elif image in self.images.images:
                self.images.take(image, arrived)

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self._take_arrived()
            self._ours = False
        self.refresh()

    def _on_read(self, image: ListedImage, path: Path, frames: list[Micrograph]) -> None:
        if image in self.images.images and image.layer is None:
            self.images.open_file(path, frames)
        if image.layer is not None:
            self.show_image(image)
        else:
            tell(MicrographError(f"{image.name}: the file holds fewer images by now; add its folder again."))

    def _on_copy(self) -> None:
        self.images.copy_to_all()
        self._tell("Every image has this prior and pixel size.")

    def _on_looked(self, good: int) -> None:
        self._take_arrived()
        bad = sum(image.layer is None and bool(image.problem) for image in self.images.images)
        self._tell(f"{good} files listed." + (f" {bad} cannot be read; see the table." if bad else ""))

    def _on_suggested(self, done: int, images: list[ListedImage]) -> None:
        self._take_arrived()
        said = f"{done} of {len(images)} images have a prior now."
        for name, answer in self._ties[:1]:
            assert answer.prior is not None
            said += f" {name}: {answer.prior.name} looks the same as {', '.join(answer.alike)}."
        more = len(self._ties) - 1
        said += f" So do {more} more; see Suggest in step 2." if more > 0 else ""
        self._ties.clear()
        self._tell(said)
        self._warn_of_problems(images)

    def _on_segmented(self, done: int, images: list[ListedImage]) -> None:
        self._take_arrived()
        self.table.sort_by_doubt()
        self._warn_of_problems(images)

    def _warn_of_problems(self, images: list[ListedImage]) -> None:
        failed = [image for image in images if image.problem]
        if failed:
            more = f" (and {len(failed) - 1} more, see the table)" if len(failed) > 1 else ""
            show_warning(f"{failed[0].problem}{more}")

    def _tell(self, text: str) -> None:
        self.said.setText(text)
        show_info(text)
        self.refresh()
