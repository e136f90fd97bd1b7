"""The fast engine: an incoherent HAADF image as columns convolved with the probe.

In the incoherent approximation (Pennycook and Jesson, Ultramicroscopy 37 (1991) 14; Nellist and
Pennycook, Ultramicroscopy 78 (1999) 111) the image is the sum over columns of a narrow scattering
cross-section, convolved with the probe intensity. Both are applied in reciprocal space, so a column
may lie anywhere between the pixels. Needs torch alone and runs on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_stemprior.optics.instrument import Instrument

#: Fraction of the beam that one atom of Z = 42 scatters into a 70-200 mrad detector at the peak of a
#: 0.7 Å probe at 80 kV, per Å² of probe area: from multislice of a MoS2 monolayer.
#: Only the scale of the dose needs it.
_CROSS_SECTION_MO = 0.011
_Z_REFERENCE = 42.0


@dataclass(frozen=True)
class Astigmatism:
    """Two-fold astigmatism: amplitude in Å, azimuth in radians."""

    amplitude: float = 0.0
    azimuth: float = 0.0


def probe_transfer(
    instrument: Instrument,
    shape: tuple[int, int],
    pixel_size: float,
    *,
    astigmatism: Astigmatism | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the transfer function of the probe intensity.

    Parameters
    ----------
    instrument : Instrument
        Aperture, defocus, spherical aberration and source size are used.
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : float
        Å per pixel.
    astigmatism : Astigmatism, optional
    device : torch device

    Returns
    -------
    Tensor (H, W // 2 + 1) of complex64
        1 at zero frequency. Multiply with the `torch.fft.rfft2` of the specimen.
    """
    height, width = shape
    # The aperture is sampled on a grid fine enough to hold its autocorrelation without aliasing.
    step = min(pixel_size, 0.45 * instrument.wavelength / (2e-3 * instrument.convergence_semi_angle))
    factor = max(1, math.ceil(pixel_size / step - 1e-9))
    ky = torch.fft.fftfreq(height * factor, pixel_size / factor, device=device)[:, None]
    kx = torch.fft.fftfreq(width * factor, pixel_size / factor, device=device)[None, :]
    k2 = ky**2 + kx**2
    wavelength = instrument.wavelength
    radius = 1e-3 * instrument.convergence_semi_angle / wavelength
    edge = 1.0 / (min(height, width) * pixel_size)
    aperture = torch.clamp(0.5 + (radius - torch.sqrt(k2)) / edge, 0.0, 1.0)
    # Phase of the lens (Kirkland, Advanced Computing in Electron Microscopy, eq. 2.9, defocus positive under)
    chi = (
        math.pi
        * wavelength
        * k2
        * (0.5e7 * instrument.spherical_aberration * wavelength**2 * k2 - instrument.defocus)
    )
    if astigmatism is not None and astigmatism.amplitude:
        angle = torch.atan2(ky, kx)
        chi = chi + math.pi * wavelength * k2 * astigmatism.amplitude * torch.cos(
            2 * (angle - astigmatism.azimuth)
        )
    probe = torch.fft.ifft2(torch.polar(aperture, -chi))
    intensity = probe.real**2 + probe.imag**2
    transfer = torch.fft.fft2(intensity / intensity.sum())
    if factor > 1:
        rows = torch.fft.fftfreq(height, 1 / height, device=device).long() % (height * factor)
        columns = torch.fft.fftfreq(width, 1 / width, device=device).long() % (width * factor)
        transfer = transfer[rows][:, columns]
    transfer = transfer[:, : width // 2 + 1]
    sigma = instrument.source_size / math.sqrt(8 * math.log(2))
    return transfer * torch.exp(-2 * math.pi**2 * sigma**2 * _k_squared(shape, pixel_size, device))


def render_columns(
    positions: Tensor,
    weights: Tensor,
    transfer: Tensor,
    shape: tuple[int, int],
    pixel_size: float,
    *,
    thermal: float = 0.085,
) -> Tensor:
    """Image a set of columns.

    Parameters
    ----------
    positions : Tensor (N, 2)
        Pixels (y, x); the field is periodic, so leave a margin.
    weights : Tensor (N,) or (C, N)
        Scattered intensity of each column, in fraction of the beam times Å²; with C rows,
        C images of the same columns.
    transfer : Tensor (H, W // 2 + 1)
        From `probe_transfer`.
    shape : (int, int)
    pixel_size : float
        Å per pixel.
    thermal : float
        Root-mean-square displacement of the atoms across the beam per axis, Å.

    Returns
    -------
    Tensor (H, W) or (C, H, W) of float32
        Fraction of the beam that reaches the detector.
    """
    height, width = shape
    ky = torch.fft.rfftfreq(height, device=positions.device)
    kx = torch.fft.rfftfreq(width, device=positions.device)
    upper = torch.polar(torch.ones(()), -2 * math.pi * torch.outer(ky, positions[:, 0]))
    # the phases of negative frequencies, without their sines and cosines
    phase_y = torch.cat([upper[: (height + 1) // 2], upper[1:].flip(0).conj()])
    phase_x = torch.polar(torch.ones(()), -2 * math.pi * torch.outer(positions[:, 1], kx))
    stacked = weights if weights.ndim == 2 else weights[None]
    spectrum = torch.matmul(phase_y[None] * stacked[:, None, :], phase_x)
    smooth = torch.exp(-2 * math.pi**2 * thermal**2 * _k_squared(shape, pixel_size, positions.device))
    image = torch.fft.irfft2(spectrum * (transfer * smooth), s=shape) / pixel_size**2
    return image if weights.ndim == 2 else image[0]


def scattered_intensity(atomic_number: float, count: float = 1.0, exponent: float = 1.7) -> float:
    """Return the intensity of `count` atoms for `render_columns`, in fraction of the beam times Å²."""
    return _CROSS_SECTION_MO * count * (atomic_number / _Z_REFERENCE) ** exponent


def _k_squared(shape: tuple[int, int], pixel_size: float, device: torch.device | str) -> Tensor:
    ky = torch.fft.fftfreq(shape[0], pixel_size, device=device)[:, None]
    kx = torch.fft.rfftfreq(shape[1], pixel_size, device=device)[None, :]
    return ky**2 + kx**2
