"""The segmenter: takes an image once and answers many priors."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.atoms.inferred import NO_TRACE, inferred_kinds
from napari_stemprior.errors import (
    MicrographError,
    PixelSizeError,
    RegistrationError,
    StempriorError,
    telling_out_of_memory,
)
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.decoding import Peaks, decode
from napari_stemprior.inference.labels import labels
from napari_stemprior.inference.models import model_path
from napari_stemprior.inference.noise_only import shows_something
from napari_stemprior.inference.order import is_ordered, stands_out
from napari_stemprior.inference.prompt_encoding import equivalent_columns, placed_prompt, unplaced_prompt
from napari_stemprior.inference.refinement import refine
from napari_stemprior.inference.tiles import Answer, predict_each
from napari_stemprior.inference.unplaced import agrees, hinted_probability, spacings_are_seen
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import LatticeFit, fit_lattice, follow_lattice
from napari_stemprior.structure import Prior

#: Below this evidence an atom stands on the prior alone.
LATTICE_EVIDENCE = 0.25
#: Atoms less sure than this are marked for review.
REVIEW_CONFIDENCE = 0.8


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
    unplaced : bool
        Ask the network with a prior whose lattice does not fit, too, without a place for it: the spacings,
        kinds and brightness ratios may still be right (`inference.unplaced`).
    strict : bool
        Without a lattice, of an image that shows no order tell those atoms alone that stand out of it
        (`inference.order`). False tells every spot that the network takes for an atom, as in an amorphous
        monolayer.

    Raises
    ------
    ModelError
        If there is no such network.
    DeviceError
        If there is no such device.
    """

    def __init__(
        self,
        model: str | Path = "small",
        device: str = "auto",
        *,
        refine: bool = True,
        unplaced: bool = True,
        strict: bool = True,
    ) -> None:
        self.device = resolve_device(device)
        self.refine = refine
        path = model_path(model)
        self.name = path.name.removesuffix(".safetensors")
        self.network, self.notes = load_network(path)
        self.calibration = Calibration.from_notes(self.notes)
        self.unplaced = unplaced
        self.strict = strict
        self.network = self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        #: Where the lattice of the last prior lies; None without a prior or where it does not fit.
        self.fit: LatticeFit | None = None
        self.prepared: PreparedImage | None = None
        self._pixel_size = 0.0
        self._image: object = None
        self._canonical: CanonicalImage | None = None
        self._alone: Answer | None = None
        self._fitted: tuple[Prior, LatticeFit | None] | None = None
        self._prompted: tuple[LatticeFit, Answer] | None = None
        self._not_placed: tuple[Prior, Answer] | None = None
        self._something: NDArray[np.bool_] | None = None
        self._unordered = False

    def set_image(self, image: ArrayLike | PreparedImage, pixel_size: float) -> None:
        """Take a micrograph; what does not depend on a prior is computed once for it.

        The same image at the same pixel size again changes nothing.

        Parameters
        ----------
        image : (H, W) array-like, or PreparedImage
            Any unit and dtype. An array is prepared first, see `recording.prepare`.
        pixel_size : float
            Å per pixel.

        Raises
        ------
        MicrographError
            If it is not a two-dimensional image with some contrast.
        PixelSizeError
            If the pixel size is not positive or the field is smaller than 6 Å.
        DeviceError
            If the memory does not suffice.
        """
        known = image if isinstance(image, PreparedImage) else _fingerprint(image)
        if self._image is not None and known == self._image and pixel_size == self._pixel_size:
            return
        self._image = None
        with telling_out_of_memory():
            self._take(prepare(image), pixel_size)
        self._image = known

    def _take(self, prepared: PreparedImage, pixel_size: float) -> None:
        if not (np.isfinite(pixel_size) and pixel_size > 0):
            raise PixelSizeError(f"The pixel size is {pixel_size} Å/px; give a positive number.")
        if min(prepared.shape) * pixel_size < 6.0:
            raise PixelSizeError(
                f"At {pixel_size:g} Å/px the image is only {min(prepared.shape) * pixel_size:.1f} Å wide; "
                "check the pixel size, at least 6 Å are needed."
            )
        self._canonical = CanonicalImage.from_prepared(prepared, float(pixel_size))
        self.prepared, self._pixel_size = prepared, float(pixel_size)
        self._alone = self._fitted = self._prompted = self._not_placed = self.fit = None
        self._something = None

    def segment(
        self, prior: Prior | None, *, trust: float = 1.0, fit: LatticeFit | None = None, place: bool = True
    ) -> AtomTable:
        """Find the atoms, all at once.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
            None segments with the image alone.
        trust : float
            Weight in [0, 1] of the answer with the prior against the one without.
        fit : LatticeFit, optional
            Where the lattice of the prior lies, if that is known; otherwise it is fitted. See `steps`.
        place : bool
            False lays no lattice on the image, as if that of the prior did not fit.

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
            believed whatever its score; where it does not fit, the image alone is asked, or the prior without
            a place (`unplaced`).
        place : bool
            False lays no lattice on the image, as if that of the prior did not fit.

        Raises
        ------
        StempriorError
            If no image was set or `trust` is outside [0, 1].
        DeviceError
            If the memory of the device or of the computer does not suffice.
        """
        if self._canonical is None or self.prepared is None:
            raise MicrographError("There is no image yet; call set_image first.")
        if not 0.0 <= trust <= 1.0:
            raise StempriorError(
                f"The trust is {trust}; give a number from 0 (image alone) to 1 (prior believed)."
            )
        with telling_out_of_memory():
            return (yield from self._steps(prior, trust, fit, place))

    def _steps(
        self, prior: Prior | None, trust: float, fit: LatticeFit | None, place: bool
    ) -> Generator[Progress, None, AtomTable]:
        assert self._canonical is not None
        assert self.prepared is not None
        self.fit = None
        if prior is not None and place:
            yield Progress(0, 1, "fitting the lattice")
            self.fit = self._placed(prior, fit)
        prompts: dict[str, StructurePrompt] = {}
        if self._alone is None:
            prompts["alone"] = StructurePrompt.absent()
        told = self.fit if prior is not None and trust > 0 else None
        if prior is not None and told is not None:
            prompt = placed_prompt(prior, told.registered, self._canonical)
            if self._prompted is None or self._prompted[0] is not told:
                prompts["prompted"] = prompt
        hinted = (
            prior is not None
            and self.fit is None
            and trust > 0
            and self.unplaced
            and spacings_are_seen(prior, self.prepared.image, self._pixel_size)
        )
        if prior is not None and hinted and (self._not_placed is None or self._not_placed[0] != prior):
            prompts["hinted"] = unplaced_prompt(prior)
        if prompts:
            stage = f"predicting with{'out' if set(prompts) == {'alone'} else ''} the prior"
            answers = yield from predict_each(
                self.network, self._canonical.image, list(prompts.values()), self.device, stage
            )
            found = dict(zip(prompts, answers, strict=True))
            self._alone = found.get("alone", self._alone)
            if told is not None and "prompted" in found:
                self._prompted = told, found["prompted"]
            if prior is not None and "hinted" in found:
                self._not_placed = prior, found["hinted"]
        assert self._alone is not None
        answer, weight, registered, kind, closest = self._alone, 0.0, None, None, 0.0
        if prior is not None and told is not None and self._prompted is not None:
            sites = told.registered
            answer, weight = self._prompted[1], trust
            registered = sites.at(self._canonical.to_canonical(sites.yx))
            kind, closest = equivalent_columns(prompt.columns)[sites.column], prior.closest_in_layer
        alone = self._alone.probability.numpy()
        claimed = answer.probability.numpy()
        hinted = hinted and self._not_placed is not None and agrees(self._not_placed[1], self._alone)
        if hinted and self._not_placed is not None:
            answer, weight = self._not_placed[1], trust
            claimed = hinted_probability(answer, self._alone)
        peaks = yield from decode(
            answer,
            weight * claimed + (1 - weight) * alone,
            alone,
            registered,
            kind,
            closest,
            self.calibration,
            image=self._canonical.image.numpy(),
            valid=self._canonical.valid,
            row_noise=bool(self.prepared.row_offsets.any()),
        )
        if told is None:
            peaks = peaks.where(self._above_noise(peaks.yx))
        return (yield from self._table(peaks, prior, self.fit, trust, bool(hinted)))

    def _above_noise(self, yx: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell at which canonical places the image itself lets an atom be told without a lattice."""
        assert self._canonical is not None
        assert self.prepared is not None
        if self._something is None:
            image = self.prepared.image
            self._something = shows_something(image, self._pixel_size)
            self._unordered = self.strict and not is_ordered(image, self._pixel_size)
            if self._unordered:
                self._something &= stands_out(image, self._pixel_size)
        place = np.round(self._canonical.to_pixels(yx)).astype(int)
        row, column = np.clip(place, 0, np.array(self._something.shape) - 1).T
        return np.asarray(self._something[row, column])

    def _placed(self, prior: Prior, fit: LatticeFit | None) -> LatticeFit | None:
        """Return the fit with its sites, or None where the prior does not fit, so that it does no harm."""
        assert self.prepared is not None
        if fit is not None:
            if not (fit.is_fit or fit.by_hand):
                return None
            if fit.sites is None:
                return follow_lattice(self.prepared, self._pixel_size, fit)
            return fit
        if self._fitted is None or self._fitted[0] != prior:
            try:
                found = fit_lattice(self.prepared, self._pixel_size, prior)
            except RegistrationError:
                self._fitted = prior, None
            else:
                self._fitted = prior, found if found.is_fit else None
        return self._fitted[1]

    def _table(
        self, peaks: Peaks, prior: Prior | None, fit: LatticeFit | None, trust: float, hinted: bool = False
    ) -> Generator[Progress, None, AtomTable]:
        assert self._canonical is not None
        assert self.prepared is not None
        yx = self._canonical.to_pixels(peaks.yx)
        shown = self.prepared.is_valid_at(yx)
        yx, peaks = yx[shown], peaks.where(shown)
        if self.refine:
            known = peaks.sigma / float(self._canonical.scale.mean())
            valid = None if self.prepared.valid.all() else self.prepared.valid
            image = self.prepared.image
            fitted = yield from refine(image, self._pixel_size, yx, known, valid, self.device)
            yield Progress(0, 1, "making the table")
            yx = fitted.yx
            shown = self.prepared.is_valid_at(yx)  # the fit may carry an atom onto bad pixels
            yx, peaks = yx[shown], peaks.where(shown)
        columns: dict[str, Any] = {"layer": peaks.hidden.astype(int)}
        if prior is not None and fit is not None:
            columns |= labels(yx, peaks.hidden, peaks.site, prior, fit.registered, self._pixel_size)
        else:
            columns |= {"element": [UNKNOWN_ELEMENT] * len(yx), "site": [""] * len(yx)}
        source = np.where(peaks.evidence < LATTICE_EVIDENCE, "lattice", "model").astype(object)
        # of a kind that leaves no trace no single atom can be judged: they are no doubts of their own
        doubtful = (peaks.confidence < REVIEW_CONFIDENCE) & (peaks.evidence > NO_TRACE)
        status = np.where(doubtful, "review", "ok").astype(object)
        provenance = {
            "model": self.name,
            "model_notes": self.notes,
            "prior": prior.name if prior else None,
            "prior_fits": fit is not None if prior else None,
            "prior_unplaced": hinted,
            "only_noise": fit is None and self._something is not None and not self._something.any(),
            "unordered": fit is None and self._unordered,
            "reservations": list(fit.reservations) if fit else [],
            "lattice_pixel_size": fit.pose.pixel_size if fit else None,
            "empty_sites": fit.registered.count_empty(yx, self.prepared.shape, self._pixel_size)
            if fit
            else None,
            "trust": trust,
            "recording": self.prepared.summary(),
            "pose": {
                "affine": fit.pose.affine.tolist(),
                "origin": fit.pose.origin.tolist(),
                "score": fit.pose.score,
                "reservations": list(fit.reservations),
            }
            if fit
            else None,
        }
        table = AtomTable.from_positions(
            yx,
            self._pixel_size,
            provenance=provenance,
            confidence=peaks.confidence,
            evidence=peaks.evidence,
            source=source,
            status=status,
            **columns,
        )
        table.provenance["inferred"] = inferred_kinds(table.rows)
        return table


def _fingerprint(image: ArrayLike) -> object:
    """Tell arrays apart by what is in them; what is no array is like nothing else."""
    if np.ma.isMaskedArray(image):
        return object()  # its mask counts as well
    try:
        array = np.ascontiguousarray(image)
        digest = hashlib.blake2b(array.data, digest_size=16).digest()  # of the pixels where they are: no copy
    except ValueError:
        return object()
    return array.shape, array.dtype.str, digest
