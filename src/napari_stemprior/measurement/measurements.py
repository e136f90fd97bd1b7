"""All that was measured on one image, and its summary in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.atom_counting import AtomCounts
from napari_stemprior.measurement.boundaries import Boundary
from napari_stemprior.measurement.clustering import PairCorrelation
from napari_stemprior.measurement.column_fit import ColumnFit
from napari_stemprior.measurement.defects import Concentration, Defects
from napari_stemprior.measurement.displacements import Displacements
from napari_stemprior.measurement.intensities import CellIntensities
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.layers import LayerPair
from napari_stemprior.measurement.line_profile import LineProfile
from napari_stemprior.measurement.mixture import Mixture
from napari_stemprior.measurement.octahedra import BondAngles, OctahedralTilts
from napari_stemprior.measurement.picked_atoms import PickedAtoms
from napari_stemprior.measurement.plane_spacings import PlaneSpacings
from napari_stemprior.measurement.polarisation import Polarisation
from napari_stemprior.measurement.reference_lattice import ReferenceLattice
from napari_stemprior.measurement.scan_errors import ScanErrors
from napari_stemprior.measurement.stacking import StackingMap
from napari_stemprior.measurement.strain import Strain
from napari_stemprior.registration import LatticeFit


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured on one image; None where it was not asked for or could not be.

    Parameters
    ----------
    atoms : AtomTable
        The atoms that were measured, neither rejected nor vacancies.
    fit : LatticeFit
    indices : LatticeIndices
    reference : ReferenceLattice
    displacements : Displacements
    columns : pandas.DataFrame
        See `column_table`.
    strain, field_strain : Strain, optional
        At the atoms, and of the fringes (GPA).
    column_fit : ColumnFit, optional
    cells : CellIntensities, optional
    mixtures : dict of Mixture
        Of the integrated intensities of each site.
    polarisation : Polarisation, optional
    defects : Defects, optional
    concentrations : list of Concentration
    pair_correlation : PairCorrelation, optional
        Of the vacancies.
    layers : list of LayerPair
    scan_errors : ScanErrors, optional
    axis : float
        Degrees of the first axis of strain.
    reasons : dict of str
        Why a measurement that was asked for is missing.
    tilts, bonds : optional
        Octahedral tilts and bond angles.
    counts : dict of AtomCounts
        Atoms in the columns of each site that was counted.
    boundaries : list of Boundary
    stacking : StackingMap, optional
    planes : PlaneSpacings, optional
    profiles : list of LineProfile
    picked : list of PickedAtoms
    statistics : pandas.DataFrame, optional
        Of the columns inside a region.
    """

    atoms: AtomTable
    fit: LatticeFit
    indices: LatticeIndices
    reference: ReferenceLattice
    displacements: Displacements
    columns: pd.DataFrame
    strain: Strain | None = None
    field_strain: Strain | None = None
    column_fit: ColumnFit | None = None
    cells: CellIntensities | None = None
    mixtures: dict[str, Mixture] = field(default_factory=dict)
    polarisation: Polarisation | None = None
    defects: Defects | None = None
    concentrations: list[Concentration] = field(default_factory=list)
    pair_correlation: PairCorrelation | None = None
    layers: list[LayerPair] = field(default_factory=list)
    scan_errors: ScanErrors | None = None
    scan_errors_removed: bool = False
    axis: float = 0.0
    reasons: dict[str, str] = field(default_factory=dict)
    tilts: OctahedralTilts | None = None
    bonds: BondAngles | None = None
    counts: dict[str, AtomCounts] = field(default_factory=dict)
    boundaries: list[Boundary] = field(default_factory=list)
    stacking: StackingMap | None = None
    planes: PlaneSpacings | None = None
    profiles: list[LineProfile] = field(default_factory=list)
    picked: list[PickedAtoms] = field(default_factory=list)
    statistics: pd.DataFrame | None = None

    def summary(self) -> dict[str, Any]:
        """Return the results as plain values; NaN where a number could not be given."""
        found: dict[str, Any] = {
            "atoms": len(self.atoms),
            "atoms_on_sites": int(self.indices.known.sum()),
            "prior": self.fit.prior.name,
            "pixel_size_angstrom": float(self.atoms.pixel_size),
            "reference": {
                "what": self.reference.description,
                "atoms": int(self.reference.used.sum()),
                "cells_angstrom": [
                    (prior.cell @ matrix.T).tolist()
                    for prior, matrix in zip(self.indices.priors, self.reference.matrix, strict=True)
                ],
            },
            "position_error_angstrom_median": _median(self.displacements.position_error),
            "displacement_rms_angstrom": _rms(self.displacements.xy),
            "not_measured": dict(self.reasons),
        }
        if self.strain is not None:
            found["strain"] = {"axis_degrees": self.axis} | {
                name: _spread(getattr(self.strain, name), getattr(self.strain, f"{name}_error"))
                for name in ("xx", "yy", "xy", "rotation")
            }
        if self.mixtures:
            found["intensities"] = {
                site: {
                    "components": len(m), "share": m.share, "mean": m.mean, "deviation": m.deviation,
                    "error_rate": m.error_rate, "bic": m.bic,
                }
                for site, m in self.mixtures.items()
            }  # fmt: skip
        if (p := self.polarisation) is not None:
            found["polarisation"] = {
                "centre": p.centre, "cage": p.cage, "state": p.state, "centres": len(p.atom),
                "mean_angstrom": p.mean, "mean_error_angstrom": p.mean_error,
                "median_magnitude_angstrom": _median(p.magnitude), "median_error_angstrom": _median(p.error),
                "excess": p.excess, "chance_of_excess": p.chance_of_excess, "agreement": p.agreement,
                "chance_of_agreement": p.chance_of_agreement, "domains": int(p.domain.max(initial=-1)) + 1,
                "row_shift_angstrom": p.row_shift, "chance_of_rows": p.chance_of_rows,
            }  # fmt: skip
        if self.defects is not None:
            found["defects"] = {
                "examined_sites": len(self.defects.examined),
                "area_nm2": self.defects.area,
                "counts": self.defects.table["kind"].value_counts().to_dict(),
                "concentrations": [asdict(one) for one in self.concentrations],
            }
            if (c := self.pair_correlation) is not None:
                found["defects"]["arrangement"] = {
                    "verdict": c.verdict, "chance": c.chance, "nearest_angstrom": c.nearest,
                    "nearest_random_angstrom": c.nearest_random,
                }  # fmt: skip
        if self.layers:
            found["layers"] = [asdict(one) for one in self.layers]
        if (s := self.scan_errors) is not None:
            found["scan_errors"] = {
                "by": s.by, "jitter_angstrom": s.jitter, "chance": s.chance, "period_angstrom": s.period,
                "period_chance": s.period_chance, "removed": self.scan_errors_removed,
            }  # fmt: skip
        return found | self._further()

    def _further(self) -> dict[str, Any]:
        """Return the results of single questions."""
        found: dict[str, Any] = {}
        if (t := self.tilts) is not None:
            found["octahedral_tilts"] = {
                "centre": t.centre, "corner": t.corner, "state": t.state, "octahedra": len(t.atom),
                "amplitude_degrees": t.amplitude, "amplitude_error_degrees": t.amplitude_error, "chance":
                t.chance,
            }  # fmt: skip
        if (b := self.bonds) is not None:
            found["bond_angles"] = {
                "ends": b.end, "middle": b.middle, "bonds": len(b.atom), "mean_degrees":
                float(b.angle.mean()), "bend_degrees": b.bend, "bend_error_degrees": b.bend_error,
            }  # fmt: skip
        if self.counts:
            found["atom_counts"] = {
                site: {
                    "components": len(c.mean), "first": c.first, "per_atom": c.per_atom,
                    "per_atom_error": c.per_atom_error, "deviation": c.deviation, "icl": c.icl,
                    "chance_of_error": _mean(c.chance_of_error), "reservations": c.reservations,
                }
                for site, c in self.counts.items()
            }  # fmt: skip
        if self.boundaries:
            found["boundaries"] = [
                {k: v for k, v in asdict(one).items() if k != "points"} for one in self.boundaries
            ]
        if (s := self.stacking) is not None:
            found["stacking"] = {"share": s.share, "reason": s.reason, "error_angstrom": _median(s.error)}
        if self.planes is not None:
            found["planes"] = asdict(self.planes)
        if self.profiles:
            found["profiles"] = [asdict(one) for one in self.profiles]
        if self.picked:
            found["picked"] = [asdict(one) for one in self.picked]
        if self.statistics is not None:
            found["region_statistics"] = self.statistics.to_dict("records")
        return found


def _mean(values: np.ndarray[Any, Any]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _median(values: np.ndarray[Any, Any]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _rms(values: np.ndarray[Any, Any]) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt((known**2).mean())) if len(known) else float("nan")


def _spread(values: np.ndarray[Any, Any], errors: np.ndarray[Any, Any]) -> dict[str, float]:
    known = values[np.isfinite(values)]
    return {
        "mean": float(known.mean()) if len(known) else float("nan"),
        "deviation": float(known.std()) if len(known) else float("nan"),
        "median_error": _median(errors),
    }
