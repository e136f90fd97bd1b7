"""The command line: what it writes, and one sentence with exit code 2 for what it cannot do."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import napari_stemprior
import napari_stemprior.registration
from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands import main as cli
from napari_stemprior.errors import DeviceError, ModelError, RegistrationError
from napari_stemprior.io import read_atoms
from napari_stemprior.progress import Progress
from napari_stemprior.recording import prepare
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.workflow import batch

REQUIRED = [
    "x_px",
    "y_px",
    "x_angstrom",
    "y_angstrom",
    "element",
    "site",
    "layer",
    "confidence",
    "evidence",
]

#: Files beside the atoms where there are several images.
TOGETHER = ("results.csv", "results.jsonl")


class FakeSegmenter:
    """Answers with the lattice at a fixed place, and remembers what it was asked."""

    asked: list[dict[str, object]]

    def __init__(self, model: str | Path = "small", device: str = "auto") -> None:
        if model == "none":
            raise ModelError("There is no model 'none'; choose small.")
        if device == "quantum":
            raise DeviceError("There is no device 'quantum'; choose one of auto, cpu.")
        self.fit = None

    def set_image(self, image: np.ndarray, pixel_size: float) -> None:
        self.shape, self.pixel_size = image.shape, pixel_size
        self.prepared = prepare(image)

    def steps(
        self, prior: StructurePrior | None, *, trust: float = 1.0, fit: LatticeFit | None = None
    ) -> Generator[Progress, None, AtomTable]:
        type(self).asked.append({"prior": prior, "trust": trust, "pixel_size": self.pixel_size})
        yield Progress(0, 2, "fitting the lattice")
        yield Progress(1, 2, "predicting")
        if prior is None:
            return AtomTable.from_positions([(3.25, 7.5)], self.pixel_size)
        yx, index = Pose.from_angle(0, self.pixel_size).columns(prior, self.shape)
        columns = [prior.columns[i] for i in index]
        return AtomTable.from_positions(
            yx,
            self.pixel_size,
            element=[c.element for c in columns],
            site=[c.site for c in columns],
            provenance={"prior_fits": prior.name != "W [111]"},
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeSegmenter]:
    import napari_stemprior.inference

    FakeSegmenter.asked = []
    monkeypatch.setattr(napari_stemprior.inference, "Segmenter", FakeSegmenter)
    return FakeSegmenter


def lattice_image(name: str = "MoS2", side: int = 96, pixel_size: float = 0.2) -> np.ndarray:
    """Gaussian columns with a little noise, uint8."""
    prior = built_in(name)
    yx, index = Pose.from_angle(7, pixel_size, (3, 5)).columns(prior, (side, side), margin=8)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    for (py, px), weight in zip(yx, prior.z_weights[index] / prior.z_weights.max(), strict=True):
        image += weight * np.exp(-((y - py) ** 2 + (x - px) ** 2) * pixel_size**2 / (2 * 0.4**2))
    image += np.random.default_rng(0).normal(0, 0.03, image.shape)
    return np.clip(60 + 120 * image, 0, 255).astype(np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "flake.png"
    Image.fromarray(lattice_image()).save(path)
    return path


def answer_with(monkeypatch: pytest.MonkeyPatch, fake: type[FakeSegmenter], table: AtomTable) -> None:
    """Let the fake answer with one table."""

    def steps(
        self: FakeSegmenter,
        prior: StructurePrior | None,
        *,
        trust: float = 1.0,
        fit: LatticeFit | None = None,
    ) -> Generator[Progress, None, AtomTable]:
        yield Progress(0, 1, "predicting")
        return dataclasses.replace(table, provenance=dict(table.provenance))

    monkeypatch.setattr(fake, "steps", steps)


def run(*arguments: object) -> int:
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr; nothing may stand on stdout."""
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert captured.out == ""
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("stemprior")
    return lines[0]


def test_segment_writes_one_row_a_column(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "--trust", 0.25, "-o", out) == 0
    rows = pd.read_csv(out / "flake.csv")
    assert set(REQUIRED) <= set(rows.columns)
    yx, _ = Pose.from_angle(0, 0.2).columns(built_in("MoS2"), (96, 96))
    assert rows[["y_px", "x_px"]].to_numpy() == pytest.approx(yx, abs=1e-3)
    assert rows["x_angstrom"].to_numpy() == pytest.approx(rows["x_px"].to_numpy() * 0.2, abs=1e-3)
    assert set(rows["element"]) == {"Mo", "S"}
    assert fake.asked == [{"prior": built_in("MoS2"), "trust": 0.25, "pixel_size": 0.2}]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")  # quiet in a pipe
    assert [p.name for p in out.iterdir()] == ["flake.csv"]


def test_no_prior(fake: type[FakeSegmenter], picture: Path, tmp_path: Path) -> None:
    assert run("segment", picture, "--no-prior", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert fake.asked == [{"prior": None, "trust": 1.0, "pixel_size": 0.2}]
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert rows[["x_px", "y_px"]].to_numpy().tolist() == [[7.5, 3.25]]


def test_no_prior_and_no_pixel_size(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", picture, "--no-prior", "-o", tmp_path / "out") == 2
    assert "flake.png" in (said := one_sentence(capsys))
    assert "--pixel-size" in said
    assert not (tmp_path / "out").exists()


def test_the_pixel_size_is_fitted_from_the_lattice_and_said(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", picture, "--prior", "MoS2", "-o", tmp_path / "out") == 0
    assert "fitted from the lattice of MoS2" in one_sentence(capsys)
    assert fake.asked[0]["pixel_size"] == pytest.approx(0.2, rel=0.01)


def test_no_lattice_no_pixel_size(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 96), dtype=np.uint8)).save(path)
    assert run("segment", path, "--prior", "SrTiO3 [001]", "-o", tmp_path / "out") == 2
    assert "--pixel-size" in one_sentence(capsys)
    assert fake.asked == []


def test_a_stack_gives_numbered_files(fake: type[FakeSegmenter], tmp_path: Path) -> None:
    path = tmp_path / "series.tif"
    tifffile.imwrite(path, np.stack([lattice_image(), lattice_image()]))
    assert run("segment", path, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *TOGETHER,
        "series_000.csv",
        "series_001.csv",
    ]


def test_images_of_one_stem_do_not_overwrite_each_other(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "b" / "Flake.png"
    third = tmp_path / "flake-2.png"
    other.parent.mkdir()
    for path in (other, third):
        path.write_bytes(picture.read_bytes())
    images = (picture, other, third)
    assert run("segment", *images, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "Flake-3.csv",
        "flake-2.csv",
        "flake.csv",
        *TOGETHER,
    ]
    assert "Flake-3.csv" in one_sentence(capsys)


def test_one_bad_image_does_not_stop_the_others(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    assert run("segment", bad, picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 2
    why, count = capsys.readouterr().err.splitlines()
    assert why.startswith("stemprior: bad.png")
    assert count.startswith("stemprior: 1 of 2 images failed")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["flake.csv", *TOGETHER]


@pytest.mark.parametrize("near", [True, False])
def test_a_prior_that_does_not_fit_is_said(
    near: bool,
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fit(image: np.ndarray, prior: StructurePrior, *, guess: float) -> tuple[float, Pose]:
        if not near:
            raise RegistrationError("no lattice")
        return 0.9 * guess, Pose.from_angle(0, 0.9 * guess, score=0.9)

    monkeypatch.setattr(napari_stemprior.registration, "fit_pixel_size", fit)
    assert run("segment", picture, "--prior", "W [111]", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert "does not fit" in (said := one_sentence(capsys))
    assert ("--pixel-size 0.18" in said) == near
    assert (tmp_path / "out" / "flake.csv").exists()


def test_no_pixel_size_is_looked_for_twice(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "flake.tif"
    calibration = {"unit": "nm", "spacing": 0.02}
    frames = np.stack([lattice_image(), 255 - lattice_image()])
    asked: list[float] = []

    def fit(image: np.ndarray, prior: StructurePrior, *, guess: float) -> tuple[float, Pose]:
        asked.append(guess)
        raise RegistrationError("no lattice")

    monkeypatch.setattr(napari_stemprior.registration, "fit_pixel_size", fit)
    options = ("--prior", "W [111]", "--pixel-size", "lattice", "-o", tmp_path / "out")
    for count in (1, 2):
        tifffile.imwrite(
            path, frames[:count], imagej=True, resolution=(1 / 0.02, 1 / 0.02), metadata=calibration
        )
        asked.clear()
        assert run("segment", path, *options) == 0
        said = capsys.readouterr().err
        assert said.count("fits at no pixel size, so the file's 0.2") == 1
        assert said.count("does not fit") == count
        assert asked == pytest.approx([0.2] * count), "a second frame is another image"


def test_a_reservation_is_said_and_written(
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"prior_fits": True, "reservations": ["Its columns hardly agree.", "It leans."]}
    answer_with(monkeypatch, fake, AtomTable.from_positions([(3, 7)], 0.2, provenance=known))
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", picture, *options) == 0
    assert capsys.readouterr().err.splitlines() == [
        "stemprior: flake: fits with a reservation: Its columns hardly agree.",
        "stemprior: flake: fits with a reservation: It leans.",
    ]
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert rows[["prior_fit", "pixel_size_from"]].to_numpy().tolist() == [["reservation", "given"]]
    assert run("segment", picture, *options, "--format", "parquet") == 0
    provenance = read_atoms(tmp_path / "out" / "flake.parquet").provenance
    assert provenance["reservations"] == known["reservations"]
    assert provenance["inverted"] is False


def test_what_was_set_right_is_said(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = lattice_image(side=128)
    image[:14] = 0
    path = tmp_path / "framed.png"
    Image.fromarray(image).save(path)
    assert run("segment", path, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stemprior: framed: A border without signal")
    assert all(line.startswith("stemprior: framed: ") for line in lines)


def test_the_pixel_size_of_the_lattice_wins_where_it_is_asked_for(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "flake.tif"  # its file says 7 % too much
    calibration = {"unit": "nm", "spacing": 0.0214}
    tifffile.imwrite(
        path, lattice_image(), imagej=True, resolution=(1 / 0.0214, 1 / 0.0214), metadata=calibration
    )
    options = ("--prior", "MoS2", "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert run("segment", path, *options, "--pixel-size", "lattice") == 0
    stated, fitted = (answer["pixel_size"] for answer in fake.asked)
    assert stated == pytest.approx(0.214)
    assert fitted == pytest.approx(0.2, rel=0.01)
    assert "in place of the file's 0.214" in one_sentence(capsys)
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert set(rows["pixel_size_from"]) == {"lattice"}
    np.testing.assert_allclose(rows["x_angstrom"], rows["x_px"] * fitted)


def test_a_lattice_that_tells_no_pixel_size_leaves_that_of_the_file(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 96), dtype=np.uint8)
    path = tmp_path / "noise.tif"
    tifffile.imwrite(path, noise, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", "lattice", "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert "the file's 0.2 Å/px is kept" in one_sentence(capsys)
    assert set(pd.read_csv(tmp_path / "out" / "noise.csv")["pixel_size_from"]) == {"file"}


def test_dark_columns_are_said_and_inverted(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = lattice_image("SrTiO3 [001]", side=160)
    path = tmp_path / "abf.png"
    Image.fromarray(255 - image).save(path)
    seen: list[np.ndarray] = []
    before = fake.set_image

    def watched(self: FakeSegmenter, given: np.ndarray, size: float) -> None:
        seen.append(given)
        before(self, given, size)

    monkeypatch.setattr(fake, "set_image", watched)
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert "columns look dark" in (said := one_sentence(capsys))
    assert said.endswith("give --invert.")
    assert run("segment", path, *options, "--invert", "--format", "parquet") == 0
    assert capsys.readouterr().err == ""
    low, high = int(image.min()), int(image.max())
    np.testing.assert_allclose(seen[1], image.astype(float) - low + (255 - high))
    assert read_atoms(tmp_path / "out" / "abf.parquet").provenance["inverted"] is True
    written: list[np.ndarray] = []
    monkeypatch.setattr(batch, "export_atoms", lambda *_, image, **__: written.append(image))
    assert run("segment", path, *options, "--invert") == 0
    np.testing.assert_array_equal(written[0], 255 - image)  # files hold the image as it was recorded


def test_a_lattice_that_fits_the_inverted_image_is_said(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "abf.png"
    Image.fromarray(255 - lattice_image("SrTiO3 [001]", side=160)).save(path)
    refused = AtomTable.from_positions([(3, 7)], 0.2, provenance={"prior_fits": False})
    answer_with(monkeypatch, fake, refused)
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    said = capsys.readouterr().err
    assert "it fits the inverted image" in said
    assert "in place of" not in said


def test_atoms_that_stand_on_the_prior_alone_are_kept_or_dropped(
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = AtomTable.from_positions(
        [(3, 7), (9, 7)], 0.2, element=["O", "Sr"], source=["lattice", "model"], evidence=[0.0, 0.9]
    )
    answer_with(monkeypatch, fake, table)
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", picture, *options) == 0
    assert "1 O stands on the prior alone" in (said := one_sentence(capsys))
    assert "--inferred drop" in said
    assert pd.read_csv(tmp_path / "out" / "flake.csv")["element"].tolist() == ["O", "Sr"]
    assert run("segment", picture, *options, "--inferred", "drop") == 0
    assert "left out" in one_sentence(capsys)
    assert pd.read_csv(tmp_path / "out" / "flake.csv")["element"].tolist() == ["Sr"]


def test_a_terminal_shows_progress(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    shown = terminal.getvalue()
    assert "flake: predicting" in shown
    assert "1/2" in shown
    assert "atom columns in" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prior", "MoS3"], "did you mean MoS2"),
        (["--prior", "nowhere.cif"], "no such file"),
        (["--prior", "MoS2", "--zone-axis", "000"], "zone axis"),
        (["--prior", "MoS2", "--zone-axis", "sideways"], "zone axis"),
        (["--no-prior", "--zone-axis", "001"], "--zone-axis"),
        (["--prior", "MoS2", "--no-prior"], "not allowed with"),
        ([], "one of the arguments --prior --no-prior is required"),
        (["--prior", "MoS2", "--trust", "1.5"], "--trust"),
        (["--prior", "MoS2", "--trust", "nan"], "--trust"),
        (["--prior", "MoS2", "--pixel-size", "0"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "-1"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "inf"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "big"], "not a number"),
        (["--no-prior", "--pixel-size", "lattice"], "needs a prior"),
        (["--prior", "MoS2", "--inferred", "some"], "--inferred"),
        (["--prior", "MoS2", "--pixel-size", "0.05"], "three unit cells"),
        (["--prior", "MoS2", "--device", "quantum"], "no device"),
        (["--prior", "MoS2", "--model", "none"], "no model"),
        (["--prior", "MoS2", "--shiny"], "--shiny"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str],
    says: str,
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("segment", picture, *arguments, "-o", tmp_path / "out") == 2
    assert says in one_sentence(capsys)
    assert fake.asked == []
    assert not (tmp_path / "out").exists()


def test_a_zone_axis_may_begin_with_a_minus(fake: type[FakeSegmenter], picture: Path, tmp_path: Path) -> None:
    for axis in ("-110", "-1,1,0", "[-1 1 0]", "-1 1 0"):
        arguments = ("--prior", "SrTiO3 [001]", "--zone-axis", axis, "--pixel-size", 0.2)
        assert run("segment", picture, *arguments, "-o", tmp_path / "out") == 0
    assert {a["prior"].zone_axis for a in fake.asked} == {"[-110]"}


def test_a_folder_that_cannot_be_written(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for folder in (taken, taken / "below", "/proc/stemprior"):
        assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", folder) == 2
        assert "choose another folder" in one_sentence(capsys)
    assert fake.asked == []


def test_priors_lists_every_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_stemprior.structure import names

    assert run("priors") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == names()


def test_train_takes_its_options_from_the_training_room(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--help") == 0
    assert "--steps" in capsys.readouterr().out


def test_a_disk_that_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(options: object) -> int:
        raise OSError(28, "No space left on device", "runs/last.safetensors")

    monkeypatch.setitem(cli.COMMANDS, "priors", dataclasses.replace(cli.COMMANDS["priors"], run=full))
    assert run("priors") == 2
    assert "runs/last.safetensors: No space left on device" in one_sentence(capsys)


def test_a_lack_of_memory_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def large(options: object) -> int:
        raise MemoryError("Unable to allocate 512. TiB for an array")

    monkeypatch.setitem(cli.COMMANDS, "priors", dataclasses.replace(cli.COMMANDS["priors"], run=large))
    assert run("priors") == 2
    assert "The computer ran out of memory" in one_sentence(capsys)


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sgement") == 2
    assert "segment" in one_sentence(capsys)
    assert run() == 2
    assert "COMMAND" in one_sentence(capsys)


def stemprior(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "napari_stemprior", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def test_the_version_answers_at_once() -> None:
    """It imports nothing that takes long; ``benchmarks/speed/response.py`` measures the time."""
    answer = stemprior("--version")
    assert answer.stdout.split() == ["stemprior", napari_stemprior.__version__]
    loaded = (
        "import atexit, sys\n"
        "atexit.register(lambda: print({'numpy', 'scipy', 'torch', 'ase', 'pandas'} & set(sys.modules)))\n"
        "from napari_stemprior.commands.main import main\n"
        "main(['--version'])"
    )
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[1:] == ["set()"]


def test_help_shows_examples() -> None:
    for arguments in (["--help"], ["segment", "--help"]):
        answer = stemprior(*arguments)
        assert answer.returncode == 0
        assert "stemprior segment flake.dm3 --prior MoS2 -o out" in answer.stdout


def test_a_real_run_end_to_end(picture: Path, tmp_path: Path) -> None:
    """The shipped network on a clean lattice, through the real program."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:60])
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "--device", "cpu", "-o", tmp_path / "out")
    answer = stemprior("segment", picture, broken, *options)
    assert answer.returncode == 2
    assert answer.stdout == ""
    why, count = answer.stderr.splitlines()
    assert why.startswith("stemprior: broken.png")
    assert count.startswith("stemprior: 1 of 2 images failed")
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert set(REQUIRED) <= set(rows.columns)
    assert set(rows["element"]) == {"Mo", "S"}
    yx, _ = Pose.from_angle(7, 0.2, (3, 5)).columns(built_in("MoS2"), (96, 96))
    inner = yx[((yx > 5) & (yx < 90)).all(axis=1)]
    found = rows[["y_px", "x_px"]].to_numpy()
    distance = np.linalg.norm(inner[:, None] - found[None], axis=-1).min(axis=1)
    assert np.median(distance) * 0.2 < 0.15
    assert (distance * 0.2 < 0.6).mean() > 0.9
