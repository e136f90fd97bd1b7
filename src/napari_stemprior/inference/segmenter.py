"""The segmenter: takes an image once and answers many priors."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import (
    MicrographError,
    StempriorError,
    telling_out_of_memory,
)
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.canonical import CanonicalImage, canonical_pixels, check_field
from napari_stemprior.inference.canonical_strips import CanonicalStrips, canonical_strips
from napari_stemprior.inference.decoding import Peaks, decode
from napari_stemprior.inference.fingerprint import fingerprint
from napari_stemprior.inference.fit_provenance import told_of_fit, told_of_question
from napari_stemprior.inference.image_lattice import ImageLattice
from napari_stemprior.inference.image_support import ImageSupport
from napari_stemprior.inference.models import model_path
from napari_stemprior.inference.own_lattices import OwnLattices
from napari_stemprior.inference.peaks_to_atoms import TABLE, Recording, peaks_to_atoms
from napari_stemprior.inference.predictor import Predictor
from napari_stemprior.inference.prompt_encoding import equivalent_columns, placed_prompt, unplaced_prompt
from napari_stemprior.inference.prompt_lattice import prompt_lattice
from napari_stemprior.inference.room import check_room
from napari_stemprior.inference.strip_segmentation import columns_by_strips
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.inference.unplaced import agrees, hinted_probability, spacings_are_seen_steps
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.devices import resolve_device, resolve_precision
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.recording.image_check import checked_image
from napari_stemprior.recording.prepare import prepare_steps
from napari_stemprior.recording.prepared_strips import PreparedStrips, prepare_strips
from napari_stemprior.recording.stored_image import StoredImage, is_large, is_stored, stored
from napari_stemprior.registration import LatticeFit
from napari_stemprior.scratch_arrays import ScratchArrays
from napari_stemprior.structure import Prior

#: Pixels of an image that is prepared at once: more take longer than 0.2 s.
_PREPARED_AT_ONCE = 2**19


class Segmenter:
    """Find the atom columns of a micrograph, with or without a lattice prior.

    What was computed for an image is kept until another one comes: to ask for another trust decodes only, and
    neither the lattice nor the network's answer is computed twice.

    `set_image` takes an (H, W) image with its pixel size in Å/px; `segment` answers with an `AtomTable`, with
    positions in px and Å.

    Parameters
    ----------
    model : str or pathlib.Path
        Name of a shipped network or a ``.safetensors`` file.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    refine : bool
        Fit the positions to the micrograph after the network has found the columns.
    precision : str
        Number format of the network's coarse layers: ``float32``, ``bfloat16``, or ``auto`` for bfloat16
        where the device is fast in it. Atoms differ by some 0.001 px.
    unplaced : bool
        Ask with a prior whose lattice does not fit, too: on the cell that the image shows
        (`inference.stretched_prior`), or without a place for it (`inference.unplaced`).
    strict : bool
        Without a lattice, of an image without order tell only atoms that stand out (`inference.order`).
    image_lattice : bool
        Without a prior that fits, look for a lattice that the image itself shows (`inference.image_lattice`).

    Raises
    ------
    ModelError
        If there is no such network.
    DeviceError
        If there is no such device or precision.
    """

    def __init__(
        self,
        model: str | Path = "small",
        device: str = "auto",
        *,
        refine: bool = True,
        precision: str = "auto",
        unplaced: bool = True,
        strict: bool = True,
        image_lattice: bool = True,
    ) -> None:
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.refine, self.unplaced, self.strict = refine, unplaced, strict
        self.image_lattice = image_lattice
        path = model_path(model)
        self.name = path.name.removesuffix(".safetensors")
        self.network, self.notes = load_network(path)
        self.calibration = Calibration.from_notes(self.notes)
        self.network = self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        #: Where the lattice of the last prior lies; None without a prior or where it does not fit.
        self.fit: LatticeFit | None = None
        self.prepared: PreparedImage | PreparedStrips | None = None
        self._pixel_size = 0.0
        self._image: object = None
        self._stored: StoredImage | NDArray[np.float32] | None = None  # what `steps` prepares
        self._canonical: CanonicalImage | CanonicalStrips | None = None
        self._unprompted: Answer | None = None
        self._fitted: tuple[Prior, LatticeFit | None] | None = None
        self._prompted: tuple[LatticeFit, Answer] | None = None
        self._hinted: tuple[Prior, Answer] | None = None
        self._support: ImageSupport | None = None
        self._own: OwnLattices | None = None

    @property
    def _predictor(self) -> Predictor:
        return Predictor(self.network, self.device, self.precision, self.calibration)

    def set_image(self, image: ArrayLike | PreparedImage, pixel_size: float) -> None:
        """Take a micrograph; what does not depend on a prior is computed once for it.

        The same image at the same pixel size again changes nothing.

        Parameters
        ----------
        image : (H, W) array-like, or PreparedImage
            Any unit and dtype. An array is prepared, see `recording.prepare`; a large one when `steps` are
            taken. What has more than some 30 million pixels, in memory or not (Zarr, Dask, a memory map),
            goes by strips.
        pixel_size : float
            Å per pixel.

        Raises
        ------
        MicrographError
            If it is not a two-dimensional image with some contrast, or needs more memory or disk than there
            is.
        PixelSizeError
            If the pixel size cannot show atoms or the field is smaller than 6 Å.
        DeviceError
            If the memory does not suffice.
        """
        known: object = image
        by_strips = False
        if not isinstance(image, PreparedImage):
            by_strips = is_large(image, canonical_pixels(image, pixel_size))
            known = ("stored", *stored(image).identity) if is_stored(image) else fingerprint(image)
        if self._image is not None and known == self._image and pixel_size == self._pixel_size:
            return
        self._image = None
        if by_strips or (isinstance(image, np.ndarray) and image.size > _PREPARED_AT_ONCE):
            large = checked_image(np.asarray(image)) if not by_strips else stored(image)
            check_field(large.shape, pixel_size)
            if isinstance(large, StoredImage):
                check_room(large.shape, float(pixel_size), large.name)
            self._forget(pixel_size)
            self._stored, self.prepared, self._canonical = large, None, None
        else:
            with telling_out_of_memory():
                self._take(prepare(image), pixel_size)
        self._image = known

    def _take(self, prepared: PreparedImage, pixel_size: float) -> None:
        check_field(prepared.shape, pixel_size)
        self._forget(pixel_size)
        self._canonical = CanonicalImage.from_prepared(prepared, float(pixel_size))
        self.prepared, self._stored = prepared, None

    def _forget(self, pixel_size: float) -> None:
        self._pixel_size = float(pixel_size)
        self._unprompted = self._fitted = self._prompted = self._hinted = None
        self.fit = self._support = self._own = None

    def _prepare(self) -> Generator[Progress, None, None]:
        """Make a large image fit for the network."""
        if isinstance(self._stored, np.ndarray):
            prepared = yield from prepare_steps(self._stored)
            self._canonical = yield from CanonicalImage.from_prepared_steps(prepared, self._pixel_size)
            self.prepared, self._stored = prepared, None
            return
        assert self._stored is not None
        scratch = ScratchArrays()
        self.prepared = yield from prepare_strips(self._stored, scratch)
        self._canonical = yield from canonical_strips(self.prepared, self._pixel_size, scratch)

    def segment(
        self, prior: Prior | None, *, trust: float = 1.0, fit: LatticeFit | None = None, place: bool = True
    ) -> AtomTable:
        """Find the atoms, all at once.

        Parameters
        ----------
        prior, trust, fit, place
            See `steps`.

        Returns
        -------
        AtomTable
            One row an atom column, places in pixels (y, x) and in Å; how the prior lies is in its provenance.

        Raises
        ------
        StempriorError
            If no image was set or `trust` is outside [0, 1].
        DeviceError
            If the memory of the device or of the computer does not suffice.
        """
        return drain(self.steps(prior, trust=trust, fit=fit, place=place))

    def steps(
        self, prior: Prior | None, *, trust: float = 1.0, fit: LatticeFit | None = None, place: bool = True
    ) -> Generator[Progress, None, AtomTable]:
        """Segment step by step; close the generator to cancel.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
            None segments with the image alone.
        trust : float
            Weight in [0, 1] of the answer with the prior against the one without.
        fit : LatticeFit, optional
            Where the lattice of the prior lies, from `registration.fit_lattice`. One that a person has set is
            believed whatever its score; where it does not fit, the image alone is asked, or the prior
            without a place (`inference.unplaced`).
        place : bool
            False lays no lattice on the image, as if that of the prior did not fit.

        Raises
        ------
        StempriorError
            If no image was set or `trust` is outside [0, 1].
        DeviceError
            If the memory of the device or of the computer does not suffice.
        """
        if self._image is None:
            raise MicrographError("There is no image yet; call set_image first.")
        if not 0.0 <= trust <= 1.0:
            raise StempriorError(
                f"The trust is {trust}; give a number from 0 (image alone) to 1 (prior believed)."
            )
        with telling_out_of_memory():
            if self._canonical is None:
                yield from self._prepare()
            return (yield from self._steps(prior, trust, fit, place))

    def _steps(
        self, prior: Prior | None, trust: float, fit: LatticeFit | None, place: bool
    ) -> Generator[Progress, None, AtomTable]:
        assert self._canonical is not None
        assert self.prepared is not None
        self.fit = None
        if prior is not None and place:
            yield Progress(0, 1, "fitting the lattice")
            self.fit = yield from self._placed(prior, fit)
        told = self.fit if prior is not None and trust > 0 else None
        own, hinted = None, False
        if told is not None:
            peaks, _ = yield from self._columns(prior, told, trust)
        else:
            peaks = yield from self._supported((yield from self._columns(None, None, 0.0))[0])
            own, peaks = yield from self._own_lattice(peaks, prior if self.unplaced else None, trust)
            if own is None and isinstance(self._canonical, CanonicalImage):
                peaks, hinted = yield from self._columns(prior, None, trust)
                peaks = yield from self._supported(peaks)
        supported = self._support if self.fit is None and own is None else None
        provenance = {
            "model": self.name,
            "model_notes": self.notes,
            "precision": str(self.precision).removeprefix("torch."),
            **told_of_question(prior, self.fit is not None, hinted, own, trust),
            "only_noise": supported is not None and supported.only_noise,
            "unordered": supported is not None and supported.unordered,
            "recording": self.prepared.summary(),
        }
        found = Recording(self.prepared, self._canonical, self._pixel_size, self.device)
        lattice: tuple[Prior, LatticeFit] | None = None if own is None else (own.prior, own.fit)
        if prior is not None and self.fit is not None:
            lattice = prior, self.fit
        table = yield from peaks_to_atoms(
            found, peaks, lattice, provenance, refined=self.refine, named=self.fit is not None
        )
        yield TABLE
        table.provenance.update(told_of_fit(self.fit, table.yx, self.prepared.shape, self._pixel_size))
        return table

    def _supported(self, peaks: Peaks) -> Generator[Progress, None, Peaks]:
        """Return the columns that the image bears out without a lattice."""
        assert self._canonical is not None
        assert self.prepared is not None
        if self._support is None or self._support.strict != self.strict:
            self._own = None
            self._support = yield from ImageSupport.of(self.prepared, self._pixel_size, self.strict)
        yx = self._canonical.to_pixels(peaks.yx)
        return peaks.where((yield from self._support.bears_out(yx, peaks.confidence)))

    def _columns(
        self, prior: Prior | None, told: LatticeFit | None, trust: float
    ) -> Generator[Progress, None, tuple[Peaks, bool]]:
        """Find the columns of an image; tell also whether the prior was used without a place."""
        if isinstance(self._canonical, CanonicalStrips):
            return (yield from columns_by_strips(self._predictor, self._canonical, prior, told, trust)), False
        assert isinstance(self._canonical, CanonicalImage)
        assert isinstance(self.prepared, PreparedImage)
        prompts: dict[str, StructurePrompt] = {}
        if self._unprompted is None:
            prompts["unprompted"] = StructurePrompt.absent()
        if prior is not None and told is not None:
            prompt = placed_prompt(prior, told.registered, self._canonical)
            if self._prompted is None or self._prompted[0] is not told:
                prompts["prompted"] = prompt
        hint = prior if told is None and self.fit is None and trust > 0 and self.unplaced else None
        if hint and not (yield from spacings_are_seen_steps(hint, self.prepared.image, self._pixel_size)):
            hint = None
        if hint is not None and (self._hinted is None or self._hinted[0] != hint):
            prompts["hinted"] = unplaced_prompt(hint)
        if prompts:
            stage = f"predicting with{'out' if list(prompts) == ['unprompted'] else ''} the prior"
            answers = yield from self._predictor.answers(self._canonical.image, list(prompts.values()), stage)
            found = dict(zip(prompts, answers, strict=True))
            self._unprompted = found.get("unprompted", self._unprompted)
            if told is not None and "prompted" in found:
                self._prompted = told, found["prompted"]
            if hint is not None and "hinted" in found:
                self._hinted = hint, found["hinted"]
        assert self._unprompted is not None
        answer, weight, registered, kind, closest = self._unprompted, 0.0, None, None, 0.0
        if prior is not None and told is not None and self._prompted is not None:
            sites = told.registered
            answer, weight = self._prompted[1], trust
            registered = sites.at(self._canonical.to_canonical(sites.yx))
            kind, closest = equivalent_columns(prompt.columns)[sites.column], prior.closest_in_layer
        unprompted, claimed = self._unprompted.probability.numpy(), answer.probability.numpy()
        hinted = hint is not None and self._hinted is not None and agrees(self._hinted[1], self._unprompted)
        if hinted and self._hinted is not None:
            answer, weight = self._hinted[1], trust
            claimed = hinted_probability(answer, self._unprompted)
        peaks = yield from decode(
            answer,
            weight * claimed + (1 - weight) * unprompted,
            unprompted,
            registered,
            kind,
            closest,
            self.calibration,
            image=self._canonical.image.numpy(),
            valid=self._canonical.valid,
            row_noise=bool(self.prepared.row_offsets.any()),
            device=self.device,
        )
        return peaks, hinted

    def _placed(self, prior: Prior, fit: LatticeFit | None) -> Generator[Progress, None, LatticeFit | None]:
        """Return `prompt_lattice`; one that was fitted to this image is kept."""
        assert self.prepared is not None
        if fit is not None:
            return (yield from prompt_lattice(self.prepared, self._pixel_size, prior, fit))
        if self._fitted is None or self._fitted[0] != prior:
            self._fitted = prior, (yield from prompt_lattice(self.prepared, self._pixel_size, prior))
        return self._fitted[1]

    def _own_lattice(
        self, alone: Peaks, prior: Prior | None, trust: float
    ) -> Generator[Progress, None, tuple[ImageLattice | None, Peaks]]:
        """Look for a lattice that the image itself shows; return it with its columns, or those given."""
        assert self._canonical is not None
        assert self.prepared is not None
        if not self.image_lattice:
            return None, alone
        if self._own is None:
            ordered = self._support is None or not self._support.unordered
            self._own = OwnLattices(self.prepared, self._pixel_size, self._predictor, ordered)
        seen = self._canonical.to_pixels(alone.yx), alone.confidence
        found = yield from self._own.stand_in(prior, trust, seen, self._columns)
        return (None, alone) if found is None else found
