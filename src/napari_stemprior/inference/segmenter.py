"""The segmenter: takes an image once and answers many priors."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.atoms.inferred import NO_TRACE, inferred_kinds
from napari_stemprior.errors import (
    MicrographError,
    PixelSizeError,
    StempriorError,
    telling_out_of_memory,
)
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.decoding import Peaks, Sites, decode
from napari_stemprior.inference.models import model_path
from napari_stemprior.inference.prompt_encoding import equivalent_columns, hidden_columns, placed_prompt
from napari_stemprior.inference.refinement import refine
from napari_stemprior.inference.site_prediction import Placement, place
from napari_stemprior.inference.stack_site_prediction import place_stack
from napari_stemprior.inference.tiles import Answer, predict
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import Pose
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.structure import Prior, Stack

#: Below this evidence an atom stands on the prior alone.
LATTICE_EVIDENCE = 0.25
#: Atoms less sure than this are marked for review.
REVIEW_CONFIDENCE = 0.8


class Segmenter:
    """Find the atom columns of a micrograph, with or without a lattice prior.

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

    Raises
    ------
    ModelError
        If there is no such network.
    DeviceError
        If there is no such device.
    """

    def __init__(self, model: str | Path = "small", device: str = "auto", *, refine: bool = True) -> None:
        self.device = resolve_device(device)
        self.refine = refine
        path = model_path(model)
        self.name = path.name.removesuffix(".safetensors")
        self.network, self.notes = load_network(path)
        self.calibration = Calibration.from_notes(self.notes)
        self.network = self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pose: Pose | None = None
        self.prepared: PreparedImage | None = None
        self._pixel_size = 0.0
        self._canonical: CanonicalImage | None = None
        self._alone: Answer | None = None

    def set_image(self, image: ArrayLike | PreparedImage, pixel_size: float) -> None:
        """Take a micrograph; what does not depend on a prior is computed once for it.

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
        with telling_out_of_memory():
            self._take(prepare(image), pixel_size)

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
        self._alone = None
        self.pose = None

    def segment(
        self, prior: Prior | None, *, trust: float = 1.0, pose: Pose | StackPose | None = None
    ) -> AtomTable:
        """Find the atoms, all at once.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
            None segments with the image alone.
        trust : float
            Weight in [0, 1] of the answer with the prior against the one without.
        pose : Pose or StackPose, optional
            Where the lattice lies; of a stack a `StackPose` with one pose a layer, or the `Pose` of its
            first layer. Believed where it is given, and fitted otherwise; see `steps`.

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
        return drain(self.steps(prior, trust=trust, pose=pose))

    def steps(
        self,
        prior: Prior | None,
        *,
        trust: float = 1.0,
        pose: Pose | StackPose | None = None,
        together: bool = True,
    ) -> Generator[Progress, None, AtomTable]:
        """Segment step by step; close the generator to cancel.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
            None segments with the image alone.
        trust : float
            Weight in [0, 1] of the answer with the prior against the one without.
        pose : Pose or StackPose, optional
            Where the lattice lies, or each lattice of a stack, if a person or an earlier fit knows;
            otherwise it is fitted. A pose that is given is believed even if its score is low.
        together : bool
            False where `register_stack` has refused the stack on this image already: its layers are then
            looked for one by one only. Without effect on another prior or with a `StackPose`.

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
            return (yield from self._steps(prior, trust, pose, together))

    def _steps(
        self, prior: Prior | None, trust: float, pose: Pose | StackPose | None, together: bool
    ) -> Generator[Progress, None, AtomTable]:
        assert self._canonical is not None
        assert self.prepared is not None
        if self._alone is None:
            self._alone = yield from self._predict(StructurePrompt.absent(), "looking at the image alone")
        placement = None
        if prior is not None:
            yield Progress(0, 1, "fitting the lattice")
            given = (self.prepared, self._pixel_size)
            if isinstance(prior, Stack):
                placement = place_stack(*given, prior, pose, together=together)
            else:
                first = pose.poses[0] if isinstance(pose, StackPose) else pose
                placement = place(*given, prior, first)
        self.pose = placement.pose if placement else None
        answer, weight, sites = self._alone, 0.0, None
        if prior is not None and placement is not None and trust > 0:
            prompt = placed_prompt(prior, placement, self._canonical)
            answer = yield from self._predict(prompt, "looking with the prior")
            weight = trust
            places = self._canonical.to_canonical(placement.positions)
            hidden = hidden_columns(prior)[placement.index]
            kinds = equivalent_columns(prompt.columns)[placement.index]
            sites = Sites(places, kinds, hidden, prior.closest_in_layer, placement.index)
        alone = self._alone.probability.numpy()
        probability = weight * answer.probability.numpy() + (1 - weight) * alone
        peaks = decode(
            answer,
            probability,
            alone,
            sites,
            self.calibration,
            image=self._canonical.image.numpy(),
            valid=self._canonical.valid,
            row_noise=bool(self.prepared.row_offsets.any()),
        )
        return self._table(peaks, prior, placement, trust)

    def _predict(self, prompt: StructurePrompt, stage: str) -> Generator[Progress, None, Answer]:
        assert self._canonical is not None
        answer = yield from predict(self.network, self._canonical.image, prompt, self.device, stage)
        return answer

    def _table(
        self, peaks: Peaks, prior: Prior | None, placement: Placement | None, trust: float
    ) -> AtomTable:
        assert self._canonical is not None
        assert self.prepared is not None
        yx = self._canonical.to_pixels(peaks.yx)
        shown = self.prepared.is_valid_at(yx)
        yx, peaks = yx[shown], peaks.where(shown)
        if self.refine:
            known = peaks.sigma / float(self._canonical.scale.mean())
            valid = None if self.prepared.valid.all() else self.prepared.valid
            yx = refine(self.prepared.image, self._pixel_size, yx, known, valid).yx
            shown = self.prepared.is_valid_at(yx)  # the fit may carry an atom onto bad pixels
            yx, peaks = yx[shown], peaks.where(shown)
        columns: dict[str, Any] = {"layer": peaks.hidden.astype(int)}
        if prior is not None and placement is not None:
            columns |= _labels(yx, peaks.hidden, peaks.site, prior, placement, self._pixel_size)
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
            "prior_fits": placement is not None if prior else None,
            "reservations": list(placement.pose.reservations) if placement else [],
            "lattice_pixel_size": placement.pose.pixel_size if placement else None,
            "empty_sites": placement.empty(yx, self.prepared.shape, self._pixel_size) if placement else None,
            "trust": trust,
            "recording": self.prepared.summary(),
            "pose": {
                name: np.asarray(getattr(placement.pose, name)).tolist()
                for name in ("affine", "origin", "score", "reservations")
            }
            if placement
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


def _labels(
    yx: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    look: NDArray[np.int64],
    prior: Prior,
    placement: Placement,
    pixel_size: float,
) -> dict[str, Any]:
    """Name each atom after the nearest registered column of its layer, else after what it looks like."""
    gate = min(0.45 * prior.neighbour_distance, 0.75) / pixel_size
    chosen = look.copy()
    lower = hidden_columns(prior)[placement.index]
    for layer in (False, True):
        atoms, sites = np.flatnonzero(hidden == layer), np.flatnonzero(lower == layer)
        if not len(atoms) or not len(sites):
            continue
        distance, found = cKDTree(placement.positions[sites]).query(yx[atoms])
        nearest = np.asarray(found)
        near = distance < gate
        chosen[atoms[near]] = placement.index[sites[nearest[near]]]
    named = [prior.columns[i] if i >= 0 else None for i in chosen]  # -1: nothing told what it looks like
    return {
        "element": [c.element if c else UNKNOWN_ELEMENT for c in named],
        "site": [c.site if c else "" for c in named],
        "layer": [c.layer if c else int(low) for c, low in zip(named, hidden, strict=True)],
    }
