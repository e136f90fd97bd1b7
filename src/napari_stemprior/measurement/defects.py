"""Sites without their atom, with another one, and atoms without a site."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import norm

from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.intervals import Share, corrected, wilson
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.lattice_fit import MIN_RELIABILITY
from napari_stemprior.structure.lattice_sites import VACANCY_DISTANCE, LatticeSites
from napari_stemprior.structure.prior import Column

Floats = NDArray[np.float64]

#: Å from the edge within which nothing is counted: half of a column lies outside.
BORDER = 1.0
#: Log-likelihood ratio from which a column counts as one that lacks atoms: 20 to 1.
_CLEAR = float(np.log(20.0))
#: Intensities of a sublattice that say what is usual.
_LEAST = 10
#: A test that finds fewer of the true ones is none.
_LEAST_POWER = 0.2
#: Columns of the table of defects, with their meaning in `find_defects`.
DEFECT_COLUMNS = (
    "kind", "site", "expected", "found", "y_px", "x_px", "y_angstrom", "x_angstrom", "layer", "atom_id",
    "log_likelihood_ratio", "chance_of_error", "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Defects:
    """Point defects of an image.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a defect, with `DEFECT_COLUMNS`.
    examined : LatticeSites
        The sites that were looked at: on the image, where the lattice is seen, off its edge.
    area : float
        nm² of the image that they stand for.
    tests : dict
        By kind and site, the power and the rate of false alarms of the test by intensities, from how these
        scatter; None where there was no test.
    reasons : dict
        Why a test is missing, by kind and site.
    """

    table: pd.DataFrame
    examined: LatticeSites
    area: float
    tests: dict[tuple[str, str], tuple[float, float] | None] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: str) -> pd.DataFrame:
        """Return the defects of a kind."""
        return self.table[self.table["kind"] == kind]


def find_defects(
    atoms: AtomTable, fit: LatticeFit, shape: tuple[int, int], intensity: Floats | None = None
) -> Defects:
    """Compare the atoms with the sites of the lattice.

    - ``vacancy``: a site without an atom within 0.6 Å, all atoms of its column missing.
    - ``partial vacancy``: a column of n atoms as bright as one of n - 1. Gaussian intensities about the
      median of their site, with its robust spread; the likelihood of n - 1 over that of n is at least 20.
      There is no test where it would find less than a fifth of the true ones.
    - ``substitution``, ``antisite``: an atom of another element than its site; the second where the prior
      has that element on another site. Only where the table knows the element.
    - ``interstitial``: an atom farther from every site than an atom of a site can be; also one above or
      below the crystal.

    ``log_likelihood_ratio`` and ``chance_of_error`` (with the share of defects found as prior odds) are given
    where intensities decide; otherwise ``chance_of_error`` is 1 less the confidence of the atom where there
    is one.

    Parameters
    ----------
    atoms : AtomTable
    fit : LatticeFit
    shape : (int, int)
        Rows and columns of the image.
    intensity : (N,) array, optional
        Integrated intensity of each atom, NaN where unknown.

    Returns
    -------
    Defects

    Raises
    ------
    MeasurementError
        If no site of the lattice lies on the image.
    """
    size = atoms.pixel_size
    sites = fit.lattice(shape)
    sites = sites.where(sites.reliability >= MIN_RELIABILITY)
    border = BORDER / size
    inner = ((sites.yx >= border) & (sites.yx <= np.array(shape) - 1 - border)).all(1)
    examined = sites.where(np.asarray(inner))
    if not len(examined):
        raise MeasurementError(f"No site of {fit.prior.name} lies on the image; fit the lattice to it first.")
    partial, tests, reasons = _partial(atoms, sites, intensity)
    rows = [*_vacancies(atoms, examined), *partial, *_foreign(atoms, sites, shape)]
    if atoms.rows["element"].isin(["", UNKNOWN_ELEMENT]).all():
        for kind in ("substitution", "antisite"):
            for column in sites.cell:
                tests[kind, column.site] = None
                reasons[kind, column.site] = "the table of atoms has no elements"
    table = pd.DataFrame(rows, columns=list(DEFECT_COLUMNS))
    table["y_angstrom"], table["x_angstrom"] = table["y_px"] * size, table["x_px"] * size
    density = sum(len(layer.columns) / layer.area for layer in fit.layers)
    return Defects(table, examined, len(examined) / density / 100, tests, reasons)


def _row(kind: str, sites: LatticeSites, index: int, **more: object) -> dict[str, object]:
    column = sites.cell[int(sites.column[index])]
    return {
        "kind": kind, "site": column.site, "expected": column.formula, "found": "",
        "y_px": sites.yx[index, 0], "x_px": sites.yx[index, 1], "layer": int(sites.layer[index]),
        "atom_id": pd.NA, "log_likelihood_ratio": np.nan, "chance_of_error": np.nan, "reason": "", **more,
    }  # fmt: skip


def _vacancies(atoms: AtomTable, sites: LatticeSites) -> list[dict[str, object]]:
    layer = atoms.rows["layer"].to_numpy()
    empty = np.ones(len(sites), bool)
    for one in np.unique(sites.layer):
        own, there = sites.layer == one, atoms.yx[layer == one]
        if len(there):
            distance = np.asarray(cKDTree(there).query(sites.yx[own])[0])
            empty[own] = distance * atoms.pixel_size > VACANCY_DISTANCE
    reason = "no intensity is measured where there is no atom"
    return [_row("vacancy", sites, int(i), reason=reason) for i in np.flatnonzero(empty)]


Tests = dict[tuple[str, str], tuple[float, float] | None]


def _partial(
    atoms: AtomTable, sites: LatticeSites, intensity: Floats | None
) -> tuple[list[dict[str, object]], Tests, dict[tuple[str, str], str]]:
    """List the columns that are as bright as if an atom were missing, and how well that is told."""
    kind = "partial vacancy"
    rows: list[dict[str, object]] = []
    tests: Tests = {}
    reasons: dict[tuple[str, str], str] = {}
    index, distance = sites.nearest(atoms.yx, atoms.rows["layer"].to_numpy(np.int64))
    near = (index >= 0) & (distance * atoms.pixel_size <= VACANCY_DISTANCE)
    values = np.full(len(atoms), np.nan) if intensity is None else intensity
    near &= np.isfinite(values)
    for number, column in enumerate(sites.cell):
        count = sum(n for _, n in column.composition)
        if not _has_several(column):
            continue
        tests[kind, column.site] = None
        own = np.flatnonzero(near & (sites.column[index] == number))
        if len(own) < _LEAST:
            reasons[kind, column.site] = f"fewer than {_LEAST} columns have a measured intensity"
            continue
        bright = values[own]
        usual = float(np.median(bright))
        # the upper half tells the spread: missing atoms lie below
        spread = max(float(np.median(bright[bright >= usual] - usual)) * 1.4826, 1e-3 * abs(usual))
        step = usual / count
        # the likelihood ratio of Gaussians of one width is linear in the intensity
        threshold = usual - step / 2 - _CLEAR * spread**2 / max(step, 1e-30)
        power = float(norm.cdf((threshold - (usual - step)) / spread))
        if usual <= 0 or power < _LEAST_POWER:
            reasons[kind, column.site] = (
                f"intensities scatter by {spread / max(step, 1e-30):.2g} of what one atom scatters, too "
                "much to "
                "tell one from none"
            )
            continue
        tests[kind, column.site] = (power, float(norm.sf((usual - threshold) / spread)))
        ratio = ((bright - usual) ** 2 - (bright - usual + step) ** 2) / (2 * spread**2)
        taken = np.flatnonzero(bright < threshold)
        odds = max(len(taken), 1) / len(own)
        left = f"{column.element}{count - 1:g}" if count > 2.01 else column.element
        for i in taken:
            chance = float(1 / (1 + odds * np.exp(min(ratio[i], 500.0))))
            rows.append(
                _row(
                    kind, sites, int(index[own[i]]), found=left,
                    atom_id=int(atoms.rows["atom_id"].iloc[own[i]]),
                    log_likelihood_ratio=float(ratio[i]), chance_of_error=chance,
                )
            )  # fmt: skip
    return rows, tests, reasons


def _has_several(column: Column) -> bool:
    """Tell whether a column is made of a few atoms of one element, so that one of them can be missing."""
    return len(column.composition) == 1 and 1.99 < column.composition[0][1] < 8.01


def _foreign(atoms: AtomTable, sites: LatticeSites, shape: tuple[int, int]) -> list[dict[str, object]]:
    index, distance = sites.nearest(atoms.yx, atoms.rows["layer"].to_numpy(np.int64))
    element = atoms.rows["element"].to_numpy(object)
    border = BORDER / atoms.pixel_size
    rows = []
    own = distance <= sites.reach
    elements = {symbol for column in sites.cell for symbol, _ in column.composition}
    doubt = 1 - atoms.rows["confidence"].to_numpy(float)
    ids = atoms.rows["atom_id"].to_numpy()
    for i in np.flatnonzero(own):
        column = sites.cell[int(sites.column[index[i]])]
        if element[i] in ("", UNKNOWN_ELEMENT) or element[i] in (s for s, _ in column.composition):
            continue
        kind = "antisite" if element[i] in elements else "substitution"
        found = _row(kind, sites, int(index[i]), found=element[i], atom_id=int(ids[i]))
        rows.append({**found, "chance_of_error": doubt[i], "reason": "by the element in the table"})
    inner = ((atoms.yx >= border) & (atoms.yx <= np.array(shape) - 1 - border)).all(1)
    for i in np.flatnonzero(~own & inner & (distance <= 2 * sites.spacing)):
        rows.append(
            {
                "kind": "interstitial", "site": "", "expected": "", "found": element[i],
                "y_px": atoms.yx[i, 0], "x_px": atoms.yx[i, 1],
                "layer": int(atoms.rows["layer"].iloc[i]), "atom_id": int(ids[i]),
                "log_likelihood_ratio": np.nan, "chance_of_error": doubt[i],
                "reason": "it lies on no site",
            }
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class Concentration:
    """How many sites of a kind are defective.

    Parameters
    ----------
    kind, site : str
    share : Share
        Of the sites that were examined, with its 95 % interval (Wilson).
    density, density_low, density_high : float
        Per nm².
    power, false_alarms : float
        Of the test that found them, which `share` is corrected for (Rogan and Gladen).
    reason : str
        Why the share is missing.
    """

    kind: str
    site: str
    share: Share
    density: float
    density_low: float
    density_high: float
    power: float
    false_alarms: float
    reason: str = ""


def concentrations(
    defects: Defects, power: float = 1.0, false_alarms: float = 0.0, confidence: float = 0.95
) -> list[Concentration]:
    """Return the concentration of each kind of defect on each site, also where none was found.

    Parameters
    ----------
    defects : Defects
    power : float
        Share of the true vacancies that are found at this dose, where that is known.
    false_alarms : float
        Share of sound sites that are taken for vacancies.
    confidence : float

    Returns
    -------
    list of Concentration
        Interstitials have no site and are counted per site of the crystal.
    """
    found = []
    sites = defects.examined
    for kind in ("vacancy", "partial vacancy", "substitution", "antisite"):
        rows = defects.of(kind)
        for number, column in enumerate(sites.cell):
            of = int(np.count_nonzero(sites.column == number))
            if not of or (kind == "partial vacancy" and not _has_several(column)):
                continue
            count = min(int((rows["site"] == column.site).sum()), of)
            usual = (power, false_alarms) if kind == "vacancy" else (1.0, 0.0)
            test = defects.tests.get((kind, column.site), usual)
            if test is None:
                none = Share(count, of, np.nan, np.nan, np.nan)
                reason = defects.reasons[kind, column.site]
                found.append(
                    Concentration(kind, column.site, none, np.nan, np.nan, np.nan, np.nan, np.nan, reason)
                )
                continue
            found.append(
                _concentration(kind, column.site, wilson(count, of, confidence), defects.area, *test)
            )
    count = min(len(defects.of("interstitial")), len(sites))
    found.append(_concentration("interstitial", "", wilson(count, len(sites), confidence), defects.area))
    return found


def _concentration(
    kind: str, site: str, found: Share, area: float, power: float = 1.0, false_alarms: float = 0.0
) -> Concentration:
    share = corrected(found, power, false_alarms)
    low, value, high = (part * share.of / area for part in (share.low, share.value, share.high))
    return Concentration(kind, site, share, value, low, high, power, false_alarms)
