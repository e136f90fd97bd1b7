"""What edits belong to: calibration, prior, fit and mask of an image; as plain values, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_stemprior.errors import JournalError, StempriorError
from napari_stemprior.io.prior_json import prior_from_dict, prior_to_dict
from napari_stemprior.recording.pixel_size_range import PIXEL_SIZES, checked_pixel_size
from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.registration.grain import Grain
from napari_stemprior.structure import Prior, built_in, names
from napari_stemprior.structure.lattice_sites import LatticeSites


@dataclass(frozen=True)
class EditContext:
    """Calibration, prior and fit of one image.

    Parameters
    ----------
    pixel_size : float or None
        Å/px.
    pixel_size_from : str
        ``"file"``, ``"given"`` or ``"lattice"``.
    inverted : bool
        Whether bright and dark are exchanged in what is analysed.
    prior : StructurePrior, Stack or None
    fit : LatticeFit, optional
        Of that prior.
    excluded : dict, optional
        Where a person wants no atoms, as `recording.mask_text` has it.
    """

    pixel_size: float | None = None
    pixel_size_from: str = "file"
    inverted: bool = False
    prior: Prior | None = None
    fit: LatticeFit | None = None
    excluded: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds exactly."""
        return {
            "pixel_size": self.pixel_size,
            "pixel_size_from": self.pixel_size_from,
            "inverted": self.inverted,
            "prior": None if self.prior is None else _prior_to_dict(self.prior),
            "fit": None if self.fit is None or self.prior is None else fit_to_dict(self.fit),
            **({} if self.excluded is None else {"excluded": self.excluded}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the journal") -> EditContext:
        """Return what `to_dict` described.

        Parameters
        ----------
        values : mapping
        where : str
            What a sentence calls the file that held them.

        Raises
        ------
        JournalError
            If a field is missing or has the wrong form.
        """
        try:
            size = values["pixel_size"]
            prior = None if values["prior"] is None else _prior(values["prior"])
            fit = None if prior is None or values["fit"] is None else fit_from_dict(values["fit"], prior)
            return cls(
                None if size is None else checked_pixel_size(float(size), where),
                str(values["pixel_size_from"]),
                bool(values["inverted"]),
                prior,
                fit,
                None if values.get("excluded") is None else dict(values["excluded"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, StempriorError) as error:
            raise JournalError(f"The calibration and the fit in {where} are damaged ({error}).") from error


def _prior_to_dict(prior: Prior) -> dict[str, Any]:
    """Describe a prior; one that is built in needs no atoms in space, for it is known by its name."""
    known = prior.name in names() and built_in(prior.name) == prior
    return prior_to_dict(prior, atoms_in_space=not known)


def _prior(values: Mapping[str, Any]) -> Prior:
    """Return the built-in prior where it is the same: it knows its atoms in space as well."""
    name = values.get("name")
    if name in names() and prior_to_dict(built_in(str(name))) == values:
        return built_in(str(name))
    return prior_from_dict(values)


def fit_to_dict(fit: LatticeFit) -> dict[str, Any]:
    """Return poses and displacements of a fit as plain values; the sites follow from them and the image.

    Those of locked grains are kept: they stay whatever the image says.
    """
    return {
        "only_layer": fit.only_layer,
        "poses": [_pose_to_dict(pose) for pose in fit.poses],
        "rivals": [_pose_to_dict(pose) for pose in fit.rivals],
        "by_hand": fit.by_hand,
        "field": _field_to_dict(fit.field),
        **({"locked": [_grain_to_dict(grain) for grain in fit.locked]} if fit.locked else {}),
    }


#: Å/px that a pose may imply: ten times beyond `recording.pixel_size_range`, for it may be one by hand.
_SMALLEST, _LARGEST = PIXEL_SIZES[0] / 10, PIXEL_SIZES[1] * 10
#: Condition number and px of the origin beyond which a pose is damage: sites would be listed without end.
_MOST_SHEARED, _FARTHEST = 100.0, 1e7
_FIELD_ARRAYS = ("rows", "columns_", "displacement", "reliability")
_SITE_ARRAYS = ("yx", "column", "reliability")


def fit_from_dict(values: Mapping[str, Any], prior: Prior) -> LatticeFit:
    """Return the fit that `fit_to_dict` described.

    Parameters
    ----------
    values : mapping
    prior : StructurePrior or Stack
        The one that was fitted.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError, AttributeError
        If a field is missing or has the wrong form.
    """
    poses = tuple(_pose(pose) for pose in values["poses"])
    only, layers = values.get("only_layer"), prior.layers
    if len(poses) != (len(layers) if only is None else 1) or (only is not None and int(only) >= len(layers)):
        raise ValueError("as many poses as layers are needed")
    grains = values.get("locked", ())
    if len(grains) and prior.crystal is None:
        raise ValueError("a stack has no grains")
    locked = tuple(_grain(grain, prior) for grain in grains)
    return LatticeFit(
        prior,
        poses,
        field=_field(values["field"]),
        grains=locked,
        locked=locked,
        only_layer=None if only is None else int(only),
        rivals=tuple(_pose(pose) for pose in values["rivals"]),
        by_hand=bool(values["by_hand"]),
    )


def _field_to_dict(field: PoseField | None) -> dict[str, Any] | None:
    if field is None:
        return None
    return {
        "pose": _pose_to_dict(field.pose),
        "error": float(field.error),
        **{name: getattr(field, name).tolist() for name in _FIELD_ARRAYS},
    }


def _field(values: Mapping[str, Any] | None) -> PoseField | None:
    if values is None:
        return None
    arrays = {name: np.array(values[name], dtype=np.float64) for name in _FIELD_ARRAYS}
    grid = (len(arrays["rows"]), len(arrays["columns_"]))
    if arrays["displacement"].shape != (*grid, 2) or arrays["reliability"].shape != grid or min(grid) < 2:
        raise ValueError("the displacements have another shape than their grid")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("the displacements are not finite")
    return PoseField(_pose(values["pose"]), error=float(values["error"]), **arrays)


def _grain_to_dict(grain: Grain) -> dict[str, Any]:
    return {
        "pose": _pose_to_dict(grain.pose),
        "field": _field_to_dict(grain.field),
        **{name: getattr(grain.sites, name).tolist() for name in _SITE_ARRAYS},
    }


def _grain(values: Mapping[str, Any], prior: Prior) -> Grain:
    yx = np.array(values["yx"], dtype=np.float64).reshape(-1, 2)
    column = np.array(values["column"])
    reliability = np.array(values["reliability"], dtype=np.float64)
    if not len(yx) or column.shape != (len(yx),) or reliability.shape != (len(yx),):
        raise ValueError("a locked grain has no sites, or sites without a column")
    if column.dtype.kind != "i" or column.min() < 0 or column.max() >= len(prior.columns):
        raise ValueError("a site of a locked grain is none of the prior")
    if not (np.isfinite(yx).all() and np.abs(yx).max() <= _FARTHEST and np.isfinite(reliability).all()):
        raise ValueError("a site of a locked grain is not finite")
    sites = LatticeSites.of(prior.columns, yx, column.astype(np.int64), reliability)
    return Grain.of(prior.layers[0], _pose(values["pose"]), sites, _field(values["field"]))


def _pose_to_dict(pose: Pose) -> dict[str, Any]:
    likelihood = pose.log_likelihood
    return {
        "affine": pose.affine.tolist(),
        "origin": pose.origin.tolist(),
        "score": float(pose.score),
        "reservations": list(pose.reservations),
        "log_likelihood": float(likelihood) if math.isfinite(likelihood) else None,
    }


def _pose(values: Mapping[str, Any]) -> Pose:
    likelihood = values["log_likelihood"]
    pose = Pose(
        values["affine"],
        values["origin"],
        float(values["score"]),
        tuple(str(sentence) for sentence in values["reservations"]),
        math.nan if likelihood is None else float(likelihood),
    )
    if not (np.isfinite(pose.affine).all() and np.isfinite(pose.origin).all() and np.linalg.det(pose.affine)):
        raise ValueError("a pose is not finite")
    if (
        not _SMALLEST <= pose.pixel_size <= _LARGEST
        or np.linalg.cond(pose.affine) > _MOST_SHEARED
        or np.abs(pose.origin).max() > _FARTHEST
    ):
        raise ValueError("a pose is none that a crystal can have on an image")
    return pose
