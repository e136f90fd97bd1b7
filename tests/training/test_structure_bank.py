"""The structure bank on disk, and where it is read."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.errors import TrainingError
from napari_stemprior.structure import Column, StructurePrior, built_in
from napari_stemprior.training.random_crystal import random_crystal
from napari_stemprior.training.structure_bank import library_bank, load_bank, save_bank


def test_held_out_crystals_are_kept_from_training() -> None:
    train, test = {c.name for c in library_bank()}, {c.name for c in library_bank(held_out=True)}
    assert test >= {"WSe2", "GaAs [110]", "SrTiO3 [110]"}
    assert not train & test


def test_a_bank_survives_the_disk(tmp_path: Path) -> None:
    alloy = StructurePrior("alloy", "[001]", 3 * np.eye(2), (Column((0.0, 0.5), (("W", 0.5), ("Mo", 0.5))),))
    bank = [*library_bank(), random_crystal(np.random.default_rng(0)), alloy]
    save_bank(bank, tmp_path / "bank.npz")
    assert load_bank(tmp_path / "bank.npz") == bank


def test_a_bank_is_read_and_trained_on_without_chemistry_libraries(tmp_path: Path) -> None:
    save_bank([replace(built_in("MoS2"), unit_cell=None)], tmp_path / "bank.npz")
    heavy = ["ase", "spglib", "abtem", "pandas", "rsciio", "tifffile", "h5py", "pyarrow"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy!r}))\n"
        "from pathlib import Path; import numpy as np\n"
        "from napari_stemprior.training.structure_bank import load_bank\n"
        "from napari_stemprior.training.examples import make_example\n"
        "import napari_stemprior.training.train, napari_stemprior.training.config\n"
        f"bank = load_bank(Path({str(tmp_path / 'bank.npz')!r}))\n"
        "make_example(np.random.default_rng(0), bank, 32)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"", b"no bank", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_bank_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"bank\.npz: this is no structure bank"):
        load_bank(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_bank(tmp_path / "nowhere.npz")
