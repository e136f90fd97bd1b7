"""Row offsets (line noise): every row of a scan a little brighter or darker than it should be.

The detector and its amplifier drift between the rows of a scan, so each row carries an offset of its own. In
the spectrum this is power along the slow-scan axis (k_x = 0) that no crystal has. A fringe of a crystal that
runs along the rows lies on the same axis, as a sharp peak: it is fitted first and stays in the image.

Whether there are offsets at all the image itself decides: the power on the axis is compared with the power at
neighbouring k_x, where pixel noise and crystal are the same and row offsets are not.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.stage import PREPARING

Floats = NDArray[np.float64]

#: Fewest rows and columns in which offsets can be told from noise and from fringes: in 64 rows a fringe of
#: the crystal is as wide in the spectrum as it is far from the next.
_FEWEST = 96
#: k_x, in cycles per width, of the spectra that say what is there without row offsets: beyond the main lobe
#: of the window (4 cycles), near enough that noise and background are nearly the same.
_NEIGHBOURS = np.arange(5, 16)
#: Slower than this (cycles per image) brightness varies by thickness and film, not by row.
_SLOWEST = 6
#: Standard deviations by which the power on the axis must exceed that beside it. The median of n
#: exponential powers scatters by 1 / (log 2 sqrt(n)) = 1.44 / sqrt(n); a quarter of the frequencies is
#: independent, because negative ones repeat the positive ones and the window blurs two into one.
_PRESENT, _SCATTER, _INDEPENDENT = 5.0, 1.44, 0.25
#: Least offsets, rms over the standard deviation of the image: below, they harm nothing, and the side lobes
#: of the window (-92 dB) of the strongest fringes are no offsets.
_LEAST = 0.01
#: Terms of the window of least side lobes (Blackman-Harris): a fringe is 10**6 times as strong as the noise
#: in images of many electrons, so that the lobes of a Hann window would pass for row offsets.
_WINDOW = (0.35875, -0.48829, 0.14128, -0.01168)
#: A frequency whose power is this many times the median around it is a fringe, to be kept. Noise alone
#: (exponential) reaches it in one frequency of 1000; keeping one more does no harm.
_FRINGE = 20.0
#: Frequencies on either side over which that median runs.
_AROUND = 20
#: Pixels: the finest fringe. A micrograph samples the finest lattice planes that it shows with more; what is
#: finer is hum that beats with the rows.
_FINEST = 2.2
#: Rows over which the running median follows edges, terraces and thickness.
_MEDIAN_ROWS = 75
#: Fringes of one image, at most. One whose amplitude or phase changes over the rows counts as several.
_MOST_FRINGES = 24
#: Robust standard deviations beyond which a row is not like the others; two such rows together are a layer,
#: which stays. Of normal offsets one in 16000 is that far off.
_APART = 4.0
#: Times that slow changes and fringes are taken out of one another.
_TURNS = 3
#: Offsets that come out larger than the spectrum says by this factor are fringes that were not understood,
#: and nothing is taken out. Slowly wandering offsets have 1.5 times the rms of white ones of the same high
#: frequencies.
_MOST = 2.0
#: Share of a row at either end over which its pixels count less and less: what of a column the end cuts off
#: would pass for an offset.
_TAPER = 0.25
#: Rows that are summed over together, so that double precision takes little memory.
_TOGETHER = 256


def row_offsets(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Estimate how much brighter each row is than it should be.

    Parameters
    ----------
    image : (H, W) array
        Bad pixels filled.
    valid : (H, W) array of bool
        Pixels that count.

    Returns
    -------
    (H,) array of float32
        In units of the image; all zero where the image shows no row offsets.
    """
    return drain(row_offsets_steps(image, valid))


def row_offsets_steps(
    image: NDArray[np.float32], valid: NDArray[np.bool_]
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Estimate how much brighter each row is than it should be, step by step; see `row_offsets`."""
    limits, strips = brightness(image, valid), []
    for first in range(0, len(image), _TOGETHER):
        yield PREPARING
        some = slice(first, first + _TOGETHER)
        strips.append(RowSums.of(image[some], valid[some], limits))
    yield PREPARING
    return offsets_from(RowSums.joined(strips))


def brightness(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the values between which a pixel counts as it is, by some of the (H, W) pixels."""
    usable = _usable(valid.sum(axis=1), image.shape[1])
    if not usable.any():
        return 0.0, 0.0
    some = image[usable].ravel()
    low, high = np.percentile(some[:: max(1, some.size // 2**18)].astype(np.float64), (0.2, 99.8))
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class RowSums:
    """What the offsets of rows are estimated from: sums over the pixels of each row.

    Parameters
    ----------
    width : int
        Pixels of a row.
    counted : (H,) array of int
        Valid pixels.
    mean : (H,) array
        Of the clipped pixels, those at the ends of the row counted less.
    waves, weight : (H, K) complex arrays
        Of the clipped pixels and of ones, with the slow wave and its neighbours; see `_NEIGHBOURS`.
    squares : (3,) array
        Number of the clipped pixels, and sums of their distance from `middle` and of its square.
    middle : float
    """

    width: int
    counted: NDArray[np.int64]
    mean: Floats
    waves: NDArray[np.complex128]
    weight: NDArray[np.complex128]
    squares: Floats
    middle: float

    @classmethod
    def of(cls, image: NDArray[np.float32], valid: NDArray[np.bool_], limits: tuple[float, float]) -> RowSums:
        """Sum over the rows of an image, or of a strip of it.

        Parameters
        ----------
        image : (H, W) array
            Bad pixels filled.
        valid : (H, W) array of bool
        limits : (float, float)
            Values to which the pixels are clipped, see `brightness`.
        """
        if len(image) > _TOGETHER:
            parts = range(0, len(image), _TOGETHER)
            return cls.joined(
                [cls.of(image[n : n + _TOGETHER], valid[n : n + _TOGETHER], limits) for n in parts]
            )
        width = image.shape[1]
        counted = valid.sum(axis=1)
        weight = valid & _usable(counted, width)[:, None]
        clipped = np.where(weight, np.clip(image.astype(np.float64), *limits), 0.0)
        across = weight * _taper(width)
        mean = (clipped * across).sum(axis=1) / np.maximum(across.sum(axis=1), 1e-30)
        kx = np.concatenate([[0], _NEIGHBOURS])
        turns = np.outer(np.arange(width) / width, kx)
        waves = np.asarray(_window(width)[:, None] * np.exp(-2j * np.pi * turns), np.complex128)
        middle = 0.5 * (limits[0] + limits[1])
        away = clipped[weight] - middle
        squares = np.array([away.size, away.sum(), (away**2).sum()])
        return cls(width, counted, mean, clipped @ waves, weight.astype(float) @ waves, squares, middle)

    @classmethod
    def joined(cls, strips: Sequence[RowSums]) -> RowSums:
        """Put strips, from the top, together."""
        counted, mean, waves, weight = (
            np.concatenate([getattr(one, name) for one in strips])
            for name in ("counted", "mean", "waves", "weight")
        )
        squares = np.sum([one.squares for one in strips], axis=0)
        return cls(strips[0].width, counted, mean, waves, weight, squares, strips[0].middle)

    @property
    def spread(self) -> float:
        """Standard deviation of the clipped pixels."""
        count, first, second = self.squares
        return float(np.sqrt(max(second / count - (first / count) ** 2, 0.0))) if count else 0.0


def _usable(counted: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Tell which rows have enough valid pixels to have a mean."""
    return np.asarray(counted >= max(_FEWEST // 4, width // 8))


def offsets_from(sums: RowSums) -> NDArray[np.float32]:
    """Estimate row offsets from the sums over the rows of a whole image; see `row_offsets`."""
    height, width = len(sums.counted), sums.width
    nothing = np.zeros(height, np.float32)
    usable = _usable(sums.counted, width)
    if min(height, width) < _FEWEST or usable.sum() < _FEWEST:
        return nothing
    mean = sums.mean.copy()
    mean[~usable] = np.interp(np.flatnonzero(~usable), np.flatnonzero(usable), mean[usable])
    level = _running_median(mean)
    # rows far off all others are a layer of the specimen or a fault: they do not say whether there are
    # offsets
    apart = np.abs(mean - level - np.median(mean - level))
    layer = apart > _APART * 1.4826 * float(np.median(apart[usable])) + 1e-30
    # A running median follows steps and terraces, but jumps itself where fringes run along the rows: what
    # is an offset stands out with it and without it.
    overall = float(np.average(mean[usable]))
    excess, rms = np.inf, np.inf
    present = 1 + _PRESENT * _SCATTER / np.sqrt(_INDEPENDENT * int(_inner(height).sum()))
    grounds = [level, np.full(height, overall)]
    if _neighbouring(layer).any():
        grounds.append(np.where(layer, mean, level))
    for ground in grounds:
        one, size = _excess(sums.waves - ground[:, None] * sums.weight, width)
        excess, rms = min(excess, one), min(rms, size)
        if excess < present or rms < _LEAST * sums.spread:
            return nothing
    # A running median bends where fringes run along the rows, and fringes are told from the rest only where
    # slow changes are gone: each is taken out of the other in turn.
    for _ in range(_TURNS):
        fringes = _fringes(mean - level)
        level = _running_median(mean - fringes)
    offset = mean - level - fringes
    offset = offset - float(np.median(offset[usable]))
    offset[~usable | _neighbouring(layer)] = 0.0
    if float(offset[usable].std()) > _MOST * rms * np.sqrt(excess / (excess - 1)):
        return nothing
    # the mean of a row of pixels is noisy itself; that part is not an offset
    return np.asarray(offset * (1 - 1 / excess), np.float32)


def _running_median(values: Floats) -> Floats:
    rows = min(_MEDIAN_ROWS, len(values) // 3 | 1)
    # beyond the ends the rows are mirrored: the last one alone, repeated, would be half of the median
    return np.asarray(median_filter(values, rows, mode="reflect"))


def _excess(level: NDArray[np.complex128], width: int) -> tuple[float, float]:
    """Return the power on the slow-scan axis over that beside it, and the rms of such white offsets.

    Parameters
    ----------
    level : (H, K) complex array
        Of each row its product with the slow wave and its neighbours.
    width : int
        Pixels of a row.
    """
    height = len(level)
    down, across = _window(height), _window(width)
    power = np.abs(np.fft.fft(level * down[:, None], axis=0)) ** 2
    ky = np.abs(np.fft.fftfreq(height) * height)
    inner = _inner(height)
    beside = np.median(power[inner, 1:], axis=1)
    smooth = _smooth_by_frequency(beside, ky[inner])
    # Afterglow smooths the noise along the rows, so that it falls with k_x as 1 / (1 + (k_x / k_0)**2): the
    # straight line through its inverse says what it is on the axis.
    relative = np.median(power[inner, 1:] / smooth[:, None], axis=0)
    square = _NEIGHBOURS.astype(float) ** 2
    slope, on_axis = np.polyfit(square, 1 / np.maximum(relative, 1e-3), 1)
    rise = 1 / max(on_axis, 0.05) if slope > 0 else 1.0
    excess = float(np.median(power[inner, 0] / smooth)) / max(rise, 1.0)
    # the median of an exponential distribution is log 2 of its mean
    white = float(np.median(power[inner, 0])) / np.log(2) / ((down**2).sum() * across.sum() ** 2)
    return excess, float(np.sqrt(max(white * (1 - 1 / max(excess, 1.0)), 0.0)))


def _inner(height: int) -> NDArray[np.bool_]:
    """Tell which k_y vary by row and not slowly."""
    return np.asarray(np.abs(np.fft.fftfreq(height) * height) >= max(_SLOWEST, height // 12))


def _window(size: int) -> Floats:
    phase = 2 * np.pi * (np.arange(size) + 0.5) / size
    return np.asarray(sum(a * np.cos(n * phase) for n, a in enumerate(_WINDOW)))


def _smooth_by_frequency(power: Floats, ky: Floats) -> Floats:
    """Median of the power over neighbouring |k_y|."""
    order = np.argsort(ky, kind="stable")
    smooth = np.empty_like(power)
    smooth[order] = median_filter(power[order], min(31, len(power)), mode="nearest")
    return np.maximum(smooth, 1e-30)


def _neighbouring(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return those rows that lie beside another one."""
    beside = np.zeros_like(rows)
    beside[1:] |= rows[:-1]
    beside[:-1] |= rows[1:]
    return np.asarray(rows & beside)


def _taper(width: int) -> Floats:
    """Return weights along a row that fade at both ends."""
    ends = np.minimum(np.arange(width) + 0.5, width - np.arange(width) - 0.5) / (_TAPER * width)
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(ends, 1.0)) ** 2)


def _fringes(offset: Floats) -> Floats:
    """Fit the sharp peaks in the spectrum of the row means: fringes of the crystal along the rows."""
    height = len(offset)
    fitted = np.zeros(height)
    window = np.hanning(height + 2)[1:-1]
    size = 4 * height
    waves: list[Floats] = []
    for _ in range(min(_MOST_FRINGES, height // 8)):
        power = np.abs(np.fft.rfft((offset - fitted) * window, size)) ** 2
        usual = median_filter(power, 8 * _AROUND + 1, mode="nearest") + 1e-30
        ratio = power / usual
        ratio[: 4 * 2] = 0
        ratio[int(size / _FINEST) :] = 0
        best = int(ratio.argmax())
        if ratio[best] < _FRINGE:
            break
        # the top of a parabola through the logarithms: the peak of a window is nearly a Gaussian
        left, middle, right = np.log(power[[best - 1, best, min(best + 1, len(power) - 1)]] + 1e-300)
        curved = left - 2 * middle + right
        shift = 0.5 * (left - right) / curved if curved < 0 else 0.0
        phase = 2 * np.pi * (best + float(np.clip(shift, -0.5, 0.5))) / size * np.arange(height)
        waves += [np.cos(phase), np.sin(phase)]
        basis = np.column_stack(waves)
        fitted = basis @ np.linalg.lstsq(basis, offset, rcond=1e-6)[0]
    return fitted
