"""Two crystals beside or above each other."""

import numpy as np
import pytest
from displaced_crystal import PIXEL_SIZE

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.boundaries import find_boundaries
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.stacking import stacking_map
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in, stacked


def bicrystal(angle=24.0, shift=(0.0, 0.0), name="MoS2", noise=0.02):
    """Two grains that meet at x = 50 Å; the right one turned by `angle` and shifted by (x, y) in Å."""
    prior = built_in(name)
    shape = (1000, 1000)
    poses = [
        Pose.from_angle(5.0, PIXEL_SIZE, (3.0, 4.0), score=0.9),
        Pose.from_angle(5.0 + angle, PIXEL_SIZE, (3.0 + shift[1] * 10, 4.0 + shift[0] * 10), score=0.9),
    ]
    rng = np.random.default_rng(0)
    places, elements = [], []
    for pose, left in zip(poses, (True, False), strict=True):
        yx, column = pose.columns(prior, shape)
        keep = yx[:, 1] < 492 if left else yx[:, 1] > 508
        places.append(yx[keep] + rng.normal(size=(keep.sum(), 2)) * noise / PIXEL_SIZE)
        elements += [prior.columns[i].element for i in column[keep]]
    atoms = AtomTable.from_positions(np.concatenate(places), PIXEL_SIZE, element=elements)
    sites = _registered(prior, poses, shape)
    return atoms, LatticeFit(prior, (poses[0],), sites=sites, rivals=(poses[1],))


def _registered(prior, poses, shape):
    from napari_stemprior.registration.lattice_fit import straight_sites

    left, right = (straight_sites(LatticeFit(prior, (pose,)), shape, 5.0) for pose in poses)
    left, right = left.where(left.yx[:, 1] < 500), right.where(right.yx[:, 1] >= 500)
    return type(left)(
        **{
            name: np.concatenate([getattr(left, name), getattr(right, name)])
            if isinstance(getattr(left, name), np.ndarray)
            else getattr(left, name)
            for name in left.__dataclass_fields__
        }
    )


@pytest.mark.parametrize("angle", [20.0, 24.0, -25.0])
def test_a_grain_boundary_and_its_misorientation(angle):
    atoms, fit = bicrystal(angle)
    indices = index_atoms(atoms, fit)
    found = find_boundaries(atoms, indices, np.full(len(atoms), 0.02))[0]
    assert found.kind == "grain boundary"
    expected = (angle + 30) % 60 - 30
    assert abs(found.misorientation) == pytest.approx(
        abs(expected), abs=max(4 * found.misorientation_error, 0.02)
    )
    assert found.misorientation_error < 0.05
    assert np.quantile(np.abs(found.points[:, 0] - 50), 0.9) < 3
    assert found.length == pytest.approx(100, rel=0.15)
    assert abs(found.direction - 90) < 3 * max(found.direction_error, 0.5)
    assert np.isnan(found.shift).all()


def test_an_antiphase_boundary_and_its_shift():
    atoms, fit = bicrystal(0.0, shift=(0.0, 1.2))
    indices = index_atoms(atoms, fit)
    found = find_boundaries(atoms, indices, np.full(len(atoms), 0.02))[0]
    assert found.kind == "antiphase boundary"
    assert abs(found.misorientation) < 0.1
    assert np.linalg.norm(found.shift) == pytest.approx(1.2, abs=0.05)


def test_one_crystal_has_no_boundary(sto):
    indices = index_atoms(sto.atoms, sto.fit)
    with pytest.raises(MeasurementError, match="one crystal"):
        find_boundaries(sto.atoms, indices, np.full(len(indices), 0.02))


@pytest.mark.parametrize(
    ("fraction", "name"), [((0, 0), "AA"), ((1 / 3, 2 / 3), "AB"), ((2 / 3, 1 / 3), "BA"), ((0, 0.5), "SP")]
)
@pytest.mark.parametrize("angle", [0.0, 40.0])
def test_a_shifted_bilayer_has_one_stacking(fraction, name, angle):
    stack = stacked([built_in("MoS2"), built_in("MoS2")], twists=[0.0, 5.0])
    shift = np.asarray(fraction) @ stack.layers[0].cell
    found = mapped(*two_layers(stack, angle, angle, shift))
    assert found.share[name] > 0.99
    assert np.median(found.off) < 0.06
    expected = (np.asarray(fraction) + 0.5) % 1
    off = (found.fraction + 0.5) % 1 - expected
    off = (off - np.rint(off)) @ stack.layers[0].cell
    assert 0.9 < (np.abs(off) < 1.96 * found.error[:, None]).mean() < 0.99


def two_layers(stack, angle, other, shift, noise=0.02):
    first = Pose.from_angle(angle, PIXEL_SIZE, (5, 5), score=0.9)
    origin = first.to_pixels(np.asarray(shift)[None])[0]
    poses = (first, Pose.from_angle(other, PIXEL_SIZE, origin))
    parts = [pose.columns(layer, (900, 900)) for pose, layer in zip(poses, stack.layers, strict=True)]
    yx = np.concatenate([p[0] for p in parts])
    yx = yx + np.random.default_rng(0).normal(size=yx.shape) * noise / PIXEL_SIZE
    layer = np.repeat([0, 1], [len(p[0]) for p in parts])
    return AtomTable.from_positions(yx, PIXEL_SIZE, layer=layer), LatticeFit(stack, poses)


def mapped(atoms, fit):
    indices = index_atoms(atoms, fit)
    return stacking_map(atoms, indices, reference_lattice(atoms, indices), np.full(len(atoms), 0.02))


def test_a_moire_has_every_stacking_in_its_share():
    stack = stacked([built_in("MoS2"), built_in("MoS2")], twists=[0.0, 5.0])
    found = mapped(*two_layers(stack, 10.0, 15.0, (0.0, 0.0)))
    assert set(found.share) == {"AA", "AB", "BA", "SP"}
    # by the areas of the Voronoi cells of the named shifts, of which there are three saddle points
    assert found.share["SP"] == pytest.approx(0.5, abs=0.05)
    assert found.share["AB"] == pytest.approx(found.share["BA"], abs=0.05)


def test_a_rectangular_lattice_has_no_named_stacking():
    stack = stacked([built_in("1T'-WTe2"), built_in("1T'-WTe2")], twists=[0.0, 5.0])
    found = mapped(*two_layers(stack, 0.0, 0.0, (0.8, 0.4)))
    assert "hexagonal" in found.reason
    assert (found.stacking == "").all()
    np.testing.assert_allclose(np.median(found.shift, axis=0), (0.8, 0.4), atol=0.02)


def test_one_layer_has_no_stacking(sto):
    indices = index_atoms(sto.atoms, sto.fit)
    with pytest.raises(MeasurementError, match="one layer"):
        stacking_map(sto.atoms, indices, reference_lattice(sto.atoms, indices), np.full(len(indices), 0.02))
