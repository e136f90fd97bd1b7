"""Off-centring of a site in the cage of its neighbours: polar displacements and their domains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import chi2, norm, ttest_1samp

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.neighbours import around, centres_and_others, shell_of
from napari_stemprior.measurement.row_shifts import row_shifts

Floats = NDArray[np.float64]

#: Arrows are in order if chance gives such an agreement of neighbours less often than this.
CHANCE = 1e-3
#: Arrows of one domain differ from their neighbours by less than this, degrees.
_SAME_DIRECTION = 45.0
#: A neighbourhood's mean arrow counts from so many standard errors on.
_CLEAR = 3.0
_NEIGHBOURS = 9
#: Cosine of the angle from which on a neighbour's arrow points elsewhere (70°).
_ELSEWHERE = 0.34
#: Columns in a cage at most.
_MOST_CAGE = 12
#: Least centres in a domain.
_LEAST_DOMAIN = 4
#: Rows of the scan from which on agreement from row to row can be told.
_LEAST_ROWS = 6
#: Covariance of the arrows of next rows over their variance where every row is shifted on its own: half of a
#: square cage lies above and half below, so (1/2)² over 1 + 2 (1/2)².
_SHARED_ROW = 1 / 6


@dataclass(frozen=True, eq=False)
class Polarisation:
    """Off-centring of M centres in their cages.

    Parameters
    ----------
    atom : (M,) array of int
        Row of each centre in the atom table.
    xy : (M, 2) array
        Å (x, y) on the image, from the mean of the cage to the centre, less what the crystal itself has.
    error : (M,) array
        Standard error of a component, Å.
    domain : (M,) array of int
        0 the largest; -1 for none.
    mean, mean_error : (2,) array and float
        Å; the error is that of a component.
    excess : float
        χ² per degree of freedom of the arrows against 0: about 1 at the noise floor.
    chance_of_excess : float
        How often noise alone reaches it.
    agreement : float
        Mean scalar product of the arrows of neighbouring centres over their mean square, from -1 to 1.
    chance_of_agreement : float
        How often arrows without order reach it.
    state : str
        ``"ordered"``: neighbours agree, also from row to row of the scan, and after the mean and what rows
        have in common are taken off; domains are told apart. ``"uniform"``: only a mean is left, which a
        mistilt of the specimen makes as well as a single domain. ``"disordered"``: the field is at its noise
        floor, or larger but without order. The last two have no domains.
    centre, cage : str
        What was measured.
    row_shift : float
        Å along one axis, root mean square of what rows of the scan have in common and next rows do not.
    chance_of_rows : float
        How often errors alone make such shifts; from 0.001 on they are left in.
    """

    atom: NDArray[np.int64]
    xy: Floats
    error: Floats
    domain: NDArray[np.int64]
    mean: Floats
    mean_error: float
    excess: float
    chance_of_excess: float
    agreement: float
    chance_of_agreement: float
    state: str
    centre: str
    cage: str
    row_shift: float = 0.0
    chance_of_rows: float = float("nan")

    @property
    def magnitude(self) -> Floats:
        """(M,) lengths, Å; noise makes them positive."""
        return np.asarray(np.linalg.norm(self.xy, axis=1))

    @property
    def angle(self) -> Floats:
        """(M,) degrees from the image's x towards its y (clockwise on screen), in [0, 360)."""
        return np.asarray(np.rad2deg(np.arctan2(self.xy[:, 1], self.xy[:, 0])) % 360)

    @property
    def about_rows(self) -> str:
        """What the scan does to the arrows, as a sentence after others; empty where it does nothing."""
        if not self.chance_of_rows < CHANCE:
            return ""
        return (
            f" Rows of the scan are shifted against each other by {self.row_shift:.3f} Å, so that arrows "
            "along a row agree without being the crystal's."
        )

    def histogram(self, bins: int = 36) -> tuple[Floats, NDArray[np.int64]]:
        """Return the edges in degrees and the counts of the directions."""
        counts, edges = np.histogram(self.angle, bins, (0, 360))
        return edges, counts.astype(np.int64)


def polarisation(
    atoms: AtomTable,
    indices: LatticeIndices,
    position_error: Floats,
    *,
    centre: str,
    cage: str,
) -> Polarisation:
    """Measure how far centres are from the middles of their cages.

    Only whole cages count. The variance is that of the centre and that of the mean of the cage.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    position_error : (N,) array
        Standard error of a position along one axis, Å.
    centre, cage : str
        Site labels or elements of the prior, such as ``"Ti"`` and ``"Sr"``.

    Returns
    -------
    Polarisation

    Raises
    ------
    MeasurementError
        If the prior has no such site, or no whole cage was found.
    """
    xy = atoms.yx_angstrom[:, ::-1]
    found: list[NDArray[np.int64]] = []
    cages_of: list[NDArray[np.int64]] = []
    arrows, variances = [], []
    for number, column, cages, _ in centres_and_others(indices, centre, cage):
        prior, first = indices.priors[number], indices.first[number]
        own = np.flatnonzero((indices.lattice == number) & (indices.column == first + column))
        shell = shell_of(prior, column, cages)
        if len(own) < 3 or not 2 <= len(shell) <= _MOST_CAGE:
            continue
        other = around(indices, own, shell)
        whole = (other >= 0).all(1)
        own, other = own[whole], other[whole]
        if len(own) < 3:
            continue
        # the ideal offset, laid on the image by the local lattice of the cage
        ideal = -shell.vector.mean(0)
        middle = xy[other].mean(1)
        offset = np.zeros((len(own), 2))
        if np.linalg.norm(ideal) > 1e-6:
            spread = shell.vector - shell.vector.mean(0)
            local = np.einsum("mka,kb->mab", xy[other] - middle[:, None], spread @ _inverse(spread))
            offset = local @ ideal
        found.append(own)
        cages_of.append(np.pad(other, ((0, 0), (0, _MOST_CAGE - len(shell))), constant_values=-1))
        arrows.append(xy[own] - middle - offset)
        variances.append(position_error[own] ** 2 + (position_error[other] ** 2).sum(1) / len(shell) ** 2)
    if not found:
        _refuse(centre, cage)
    atom, arrow = np.concatenate(found), np.concatenate(arrows)
    error = np.sqrt(np.concatenate(variances))
    known = np.isfinite(error) & (error > 0)
    atom, arrow, error = atom[known], arrow[known], error[known]
    if len(atom) < 3:
        _refuse(centre, cage)
    place = xy[atom]
    pairs = _pairs(place)
    shared = _shared_noise(np.concatenate(cages_of)[known], position_error, pairs) / (
        error[pairs[:, 0]] * error[pairs[:, 1]]
    )
    return _judged(atom, place, arrow, error, pairs, shared, centre, cage)


def _pairs(place: Floats) -> NDArray[np.int64]:
    """Return the (P, 2) pairs of next neighbours, each once."""
    n = len(place)
    near = np.asarray(cKDTree(place).query(place, k=min(5, n))[1])[:, 1:]
    both = np.sort(np.stack([np.repeat(np.arange(n), near.shape[1]), near.ravel()], 1), axis=1)
    code = np.unique(both[:, 0] * n + both[:, 1])
    return np.stack([code // n, code % n], axis=1).astype(np.int64)


def _shared_noise(cages: NDArray[np.int64], position_error: Floats, pairs: NDArray[np.int64]) -> Floats:
    """Return (P,) the covariance (Å²) of a component of two arrows whose cages share atoms."""
    first, second = cages[pairs[:, 0]], cages[pairs[:, 1]]
    size = (first >= 0).sum(1) * (second >= 0).sum(1)
    variance = np.where(first >= 0, position_error[first] ** 2, 0.0)
    total = np.zeros(len(pairs))
    for column in range(cages.shape[1]):
        same = (first == second[:, [column]]) & (first >= 0)
        total += (same * variance).sum(1)
    return np.asarray(total / size)


def _inverse(spread: Floats) -> Floats:
    return np.asarray(np.linalg.pinv(spread.T @ spread))


def _refuse(centre: str, cage: str) -> None:
    raise MeasurementError(
        f"Fewer than three {centre} columns have all of their {cage} neighbours, so no off-centring can be "
        "measured."
    )


def _judged(
    atom: NDArray[np.int64],
    place: Floats,
    arrow: Floats,
    error: Floats,
    pairs: NDArray[np.int64],
    shared: Floats,
    centre: str,
    cage: str,
) -> Polarisation:
    weight = 1 / error**2
    mean = (arrow * weight[:, None]).sum(0) / weight.sum()
    rows = row_shifts(place[:, 1], arrow, error)
    by_rows = rows.chance < CHANCE
    left = arrow - rows.shift if by_rows else arrow
    spent = rows.spent if by_rows else 0.0
    whole = _order(left, error, pairs, shared, spent)
    excess, chance_of_excess, agreement, chance = whole
    centred = arrow - mean
    varied = _order(left - mean, error, pairs, shared, spent + 2)
    # arrows of a row are not independent where the scan jitters: rows tell how well the mean is known
    row, _ = _rows_of(place, pairs)
    count = np.bincount(row)
    sums = np.stack([np.bincount(row, centred[:, axis]) for axis in (0, 1)], axis=1)[count > 0]
    means = sums / count[count > 0, None]
    by_row = float(means.std() / np.sqrt(len(means) - 1)) if len(means) >= _LEAST_ROWS else 0.0
    mean_error = max(float(weight.sum() ** -0.5), by_row)
    across = _across_rows(place, centred / error[:, None], pairs, shared)
    if np.isnan(across):
        across = 1.0 if by_rows else 0.0
    state = "disordered"
    if max(varied[1], varied[3], chance_of_excess, across) < CHANCE:
        state = "ordered"
    elif chi2.sf(float((mean**2).sum()) / mean_error**2, 2) < CHANCE:
        state = "uniform"
    domain = np.full(len(atom), -1, np.int64)
    if state == "ordered":
        domain = _domains(place, left, error)
    return Polarisation(
        atom, arrow, error, domain, mean, mean_error, excess, chance_of_excess, agreement, chance, state,
        centre, cage, rows.rms, rows.chance,
    )  # fmt: skip


def _across_rows(place: Floats, scaled: Floats, pairs: NDArray[np.int64], shared: Floats) -> float:
    """Return how often arrows that agree along the rows of the scan alone agree as well from row to row.

    The scan moves what it passes in one go, so that arrows along a row are not independent: the products of
    neighbours in different rows are averaged by row, and these means are compared with 0 (t test). NaN where
    there are too few rows.
    """
    row, other = _rows_of(place, pairs)
    product = (scaled[pairs[:, 0]] * scaled[pairs[:, 1]]).sum(1) - 2 * shared
    # jitter alone makes next rows alike by this share, for their cages have a row in common
    product = product[other] - _SHARED_ROW * max(
        float(product[~other].mean()) if (~other).any() else 0.0, 0.0
    )
    upper = row[pairs[other]].min(1)
    count = np.bincount(upper, minlength=1)
    means = np.bincount(upper, product, len(count))[count > 0] / count[count > 0]
    if len(means) < _LEAST_ROWS:
        return float("nan")
    return float(ttest_1samp(means, 0.0, alternative="greater").pvalue)


def _rows_of(place: Floats, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of centres in which each lies, and which pairs are of two rows."""
    step = np.abs(place[pairs[:, 0]] - place[pairs[:, 1]])
    other = np.asarray(step[:, 1] > step[:, 0])
    height = float(np.median(step[other, 1])) if other.any() else 1.0
    return np.floor((place[:, 1] - place[:, 1].min()) / max(height, 1e-9)).astype(np.int64), other


def _order(
    arrow: Floats, error: Floats, pairs: NDArray[np.int64], shared: Floats, spent: float
) -> tuple[float, float, float, float]:
    """Return χ² per freedom and its chance, the agreement of neighbours and its chance."""
    freedom = max(2 * len(arrow) - spent, 1.0)
    total = float(((arrow / error[:, None]) ** 2).sum())
    scaled = arrow / error[:, None]
    # the noise of shared cage atoms makes neighbours agree; it is taken off
    product = (scaled[pairs[:, 0]] * scaled[pairs[:, 1]]).sum(1) - 2 * shared
    square = float((scaled**2).sum(1).mean())
    agreement = float(product.mean() / square)
    # of arrows without order the product has the mean 0 and the variance square² / 2
    chance = float(norm.sf(float(product.mean()) / (square / np.sqrt(2 * len(pairs)))))
    return total / freedom, float(chi2.sf(total, freedom)), agreement, chance


def _domains(place: Floats, arrow: Floats, error: Floats) -> NDArray[np.int64]:
    """Number the connected regions in which the locally averaged arrows turn by little."""
    n = len(place)
    found = cKDTree(place).query(place, k=min(_NEIGHBOURS, n))
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    reach = 1.6 * float(np.median(distance[:, 1]))
    inside = np.asarray(distance <= reach)
    weight = np.where(inside, 1 / error[near] ** 2, 0.0)
    local = (weight[..., None] * arrow[near]).sum(1) / weight.sum(1)[:, None]
    # once more without what points elsewhere, so that a wall between domains stays sharp
    lengths = np.linalg.norm(local, axis=1)[:, None] * np.linalg.norm(arrow[near], axis=2)
    weight = np.where((local[:, None] * arrow[near]).sum(2) > _ELSEWHERE * lengths, weight, 0.0)
    total = np.maximum(weight.sum(1), 1e-30)
    local = (weight[..., None] * arrow[near]).sum(1) / total[:, None]
    clear = np.linalg.norm(local, axis=1) > _CLEAR * total**-0.5
    angle = np.arctan2(local[:, 1], local[:, 0])
    a, b = np.repeat(np.arange(n), near.shape[1]), near.ravel()
    turned = np.abs((angle[a] - angle[b] + np.pi) % (2 * np.pi) - np.pi)
    joined = inside.ravel() & clear[a] & clear[b] & (turned < np.deg2rad(_SAME_DIRECTION))
    graph = coo_matrix((np.ones(joined.sum()), (a[joined], b[joined])), (n, n))
    _, label = connected_components(graph, directed=False)
    sizes = np.bincount(label[clear], minlength=label.max() + 1)
    order = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    return np.where(clear & (sizes[label] >= _LEAST_DOMAIN), order[label], -1).astype(np.int64)
