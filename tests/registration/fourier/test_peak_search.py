"""Which peaks a spectrum has, and which of them a lattice or the scan explains."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.fourier.peak_search import SpectralPeaks, explained_power, find_peaks
from napari_stemprior.registration.fourier.power_spectrum import power_spectrum
from napari_stemprior.registration.fourier.reflections import RESOLUTION
from napari_stemprior.structure import built_in

PIXEL, SHAPE = 0.2, (224, 240)


def test_one_peak_of_each_friedel_pair_is_found_the_strongest_first() -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(17, PIXEL, (4, 7))
    image = counted(render(prior, pose, SHAPE, PIXEL), 3000, PIXEL)
    peaks = find_peaks(power_spectrum(preprocess(image, PIXEL), RESOLUTION))
    assert len(peaks.k) >= 6
    assert (np.diff(peaks.strength) <= 0).all()
    pairs = np.linalg.norm(peaks.k[:, None] + peaks.k[None], axis=-1)
    assert pairs.min() > 1 / peaks.length
    assert explained_power(peaks, pose.affine * PIXEL, prior) > 0.95


def test_noise_has_no_peaks() -> None:
    noise = np.random.default_rng(3).poisson(5.0, SHAPE).astype(np.float32)
    peaks = find_peaks(power_spectrum(preprocess(noise, PIXEL), RESOLUTION))
    assert peaks.k.shape == (0, 2)


def test_peaks_that_the_scan_makes_speak_neither_for_nor_against() -> None:
    prior = built_in("MoS2")
    linear = np.array([[0.0, 1.0], [1.0, 0.0]])
    reflection = np.array([1, 0]) @ np.linalg.inv(prior.cell).T @ np.linalg.inv(linear)
    k = np.array(
        [
            reflection,
            [reflection[0] + 0.11, reflection[1]],
            [0.4, 0.001],
            [reflection[0] + 0.05, reflection[1] + 0.13],
        ]
    )
    strengths = np.array([30.0, 8.0, 9.0, 9.0])
    peaks = SpectralPeaks(k[:3], strengths[:3], 100.0)
    assert explained_power(peaks, linear, prior) == pytest.approx(1.0)
    with_another = SpectralPeaks(k, strengths, 100.0)
    assert explained_power(with_another, linear, prior) < 0.9
