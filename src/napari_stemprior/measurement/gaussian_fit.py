"""Gauss-Newton steps that lay elliptical Gaussians on an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.pixel_noise import PixelNoise, pixel_noise

Floats = NDArray[np.float64]

#: Å: how far around a column its pixels are fitted, and how far its Gaussian is drawn.
_FITTED, _DRAWN = 1.1, 1.7
#: Å: width of a column to begin with, and the range in which it is fitted.
_WIDTH, _NARROWEST, _WIDEST = 0.45, 0.25, 0.9
#: How much the shape of a column may differ from the common one, relative; wider than any real column.
_SHAPE_FREEDOM = 0.5
#: Å: no column moves further than this from where the table has it.
LARGEST_MOVE = 0.35
_COMMON_ROUNDS, _OWN_ROUNDS = 4, 6
#: Columns whose pixels are held in memory at once.
_CHUNK = 8192


def averaged(image: Floats, valid: NDArray[np.bool_], factor: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the means over blocks of `factor` × `factor` pixels, and which blocks are good throughout."""
    if factor == 1:
        return image, valid
    height, width = (side // factor * factor for side in image.shape)
    blocks = (height // factor, factor, width // factor, factor)
    return (
        image[:height, :width].reshape(blocks).mean(axis=(1, 3)),
        np.asarray(valid[:height, :width].reshape(blocks).all(axis=(1, 3))),
    )


class GaussianFit:
    """The state of the fit: heights, places, shapes and backgrounds of all columns."""

    def __init__(self, image: Floats, valid: NDArray[np.bool_], pixel_size: float, yx: Floats) -> None:
        self.image, self.valid, self.size = image, valid, pixel_size
        self.start, self.place = yx, yx.copy()
        n = len(yx)
        width = _WIDTH / pixel_size
        self.common = width
        self.shape = np.tile([1 / width**2, 0.0, 1 / width**2], (n, 1))  # inverse covariance: yy, yx, xx
        self.fit_window = _window(max(_FITTED / pixel_size, 1.5))
        self.draw_window = _window(max(_DRAWN / pixel_size, 2.0))
        self.height, self.level = np.zeros(n), np.zeros(n)
        self.covariance = np.full((n, 7, 7), np.nan)
        self.noise = PixelNoise(1.0, 0.0, 1.0)
        self.count = np.zeros(n, np.int64)
        for own in self._chunks():
            values, near, _ = self.pixels(own, self.fit_window)
            low, some = np.zeros(len(own)), near.any(1)
            low[some] = np.nanpercentile(np.where(near, values, np.nan)[some], 20, axis=1)
            core = near[:, :9]
            mean = (values[:, :9] * core).sum(1) / np.maximum(core.sum(1), 1)
            self.level[own] = low
            self.height[own] = np.maximum(mean - self.level[own], 0)
            self.count[own] = near.sum(1)

    def _chunks(self) -> list[NDArray[np.int64]]:
        n = len(self.start)
        return [np.arange(i, min(i + _CHUNK, n)) for i in range(0, n, _CHUNK)]

    def pixels(
        self, own: NDArray[np.int64], window: NDArray[np.int64]
    ) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
        """Return values, whether they count, and (n, P) flat places of the pixels around columns."""
        shape = np.array(self.image.shape)
        centre = np.clip(np.floor(self.start[own] + 0.5).astype(np.int64), 0, shape - 1)
        pixels = centre[:, None] + window
        inside = ((pixels >= 0) & (pixels < shape)).all(-1)
        flat = np.clip(pixels[..., 0], 0, shape[0] - 1) * shape[1] + np.clip(pixels[..., 1], 0, shape[1] - 1)
        return self.image.ravel()[flat], inside & self.valid.ravel()[flat], flat

    def _bell(self, own: NDArray[np.int64], flat: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Return (n, P) Gaussians of height 1 and the offsets y and x from their middles."""
        y = flat // self.image.shape[1] - self.place[own, :1]
        x = flat % self.image.shape[1] - self.place[own, 1:]
        a, b, c = self.shape[own].T[:, :, None]
        return np.exp(-0.5 * (a * y * y + 2 * b * y * x + c * x * x)), y, x

    def drawn(self) -> Floats:
        """Draw all columns without their backgrounds."""
        total = np.zeros(self.image.size)
        for own in self._chunks():
            _, inside, flat = self.pixels(own, self.draw_window)
            bell = self._bell(own, flat)[0] * self.height[own, None] * inside
            low = int(flat.min())  # a chunk lies in a part of the image
            part = np.bincount(flat.ravel() - low, bell.ravel())
            total[low : low + len(part)] += part
        return total

    def run(self) -> None:
        """Fit: first with one round shape for all, then with a shape for each."""
        for number in range(_COMMON_ROUNDS + _OWN_ROUNDS):
            drawn = self.drawn()
            if number >= 1:
                self._measure_noise(drawn, 7 if number > _COMMON_ROUNDS else 4)
            own_shape = number >= _COMMON_ROUNDS
            widen = [self._step(own, drawn, own_shape) for own in self._chunks()]
            if not own_shape and number >= 1:
                force, curvature = np.sum(widen, axis=0)
                change = force / curvature if curvature > 0 else 0.0
                self.common += float(np.clip(change, -0.2 * self.common, 0.2 * self.common))
                self.common = float(np.clip(self.common, _NARROWEST / self.size, _WIDEST / self.size))
                self.shape[:] = [1 / self.common**2, 0, 1 / self.common**2]

    def _measure_noise(self, drawn: Floats, fitted: int) -> None:
        """Measure the noise of pixels; `fitted` numbers a column have made the residuals smaller."""
        n = len(self.start)
        own = np.unique(np.linspace(0, n - 1, min(n, _CHUNK)).astype(np.int64))
        values, near, flat = self.pixels(own, self.fit_window)
        model = drawn[flat] + self.level[own, None]
        pixels = min(len(self.fit_window), len(np.unique(flat[near])) / max(len(own), 1))
        lost = np.sqrt(1 - min(fitted / pixels, 0.75))
        self.noise = pixel_noise(model[near], (values - model)[near] / lost)

    def _step(self, own: NDArray[np.int64], drawn: Floats, own_shape: bool) -> tuple[float, float]:
        """Move some columns; return what the common width gains: force and curvature."""
        values, near, flat = self.pixels(own, self.fit_window)
        bell, y, x = self._bell(own, flat)
        a, b, c = self.shape[own].T[:, :, None]
        model = drawn[flat] + self.level[own, None]
        weight = near / self.noise.variance(model)
        residual = values - model
        signal = self.height[own, None] * bell
        parts = [bell, signal * (a * y + b * x), signal * (b * y + c * x), np.ones_like(bell)]
        spread = signal * (y * y + x * x) / self.common**3
        if own_shape:
            parts += [-0.5 * signal * y * y, -signal * y * x, -0.5 * signal * x * x]
        jacobian = np.stack(parts, axis=1)
        weighted = jacobian * weight[:, None]
        normal = weighted @ jacobian.transpose(0, 2, 1)
        force = (weighted @ residual[..., None])[..., 0]
        usual = np.array([1 / self.common**2, 0.0, 1 / self.common**2])
        if own_shape:
            tight = 1 / (_SHAPE_FREEDOM * usual[0]) ** 2
            normal[:, [4, 5, 6], [4, 5, 6]] += tight
            force[:, 4:] += tight * (usual - self.shape[own])
        m = len(parts)
        normal[:, range(m), range(m)] *= 1 + 1e-9
        normal[:, range(m), range(m)] += 1e-30
        step = np.nan_to_num(np.linalg.solve(normal, force[..., None])[..., 0], posinf=0, neginf=0)
        self.height[own] = np.maximum(self.height[own] + step[:, 0], 0)
        self.level[own] += step[:, 3]
        limit = LARGEST_MOVE / self.size
        if own_shape or self.noise.least != 1.0:
            moved = self.place[own] + np.clip(0.9 * step[:, 1:3], -limit / 2, limit / 2)
            self.place[own] = self.start[own] + np.clip(moved - self.start[own], -limit, limit)
        if own_shape:
            self._reshape(own, step[:, 4:])
            self.covariance[own] = np.linalg.inv(normal)
            return 0.0, 0.0
        coupling = (weighted @ spread[..., None])[..., 0]
        both = np.linalg.solve(normal, coupling[..., None])[..., 0]
        pull = (spread * weight * residual).sum() - (force * both).sum()
        return float(pull), float((spread**2 * weight).sum() - (coupling * both).sum())

    def _reshape(self, own: NDArray[np.int64], step: Floats) -> None:
        """Change the shapes, by half of the common one at most, and keep them those of an ellipse."""
        bound = 0.5 / self.common**2
        new = self.shape[own] + np.clip(step, -bound, bound)
        low, high = (self.size / _WIDEST) ** 2, (self.size / _NARROWEST) ** 2 * 2
        new[:, [0, 2]] = np.clip(new[:, [0, 2]], low, high)
        most = 0.9 * np.sqrt(new[:, 0] * new[:, 2])
        new[:, 1] = np.clip(new[:, 1], -most, most)
        self.shape[own] = new


def _window(radius: float) -> NDArray[np.int64]:
    """Return the (P, 2) steps to the pixels of a disc, nearest first."""
    reach = int(np.ceil(radius))
    step = np.arange(-reach, reach + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    distance = np.hypot(*window.T)
    return window[np.argsort(distance, kind="stable")][: int((distance <= radius).sum())]
