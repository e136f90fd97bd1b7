"""The script that trains in chunks, with a network of a few hundred weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_in_chunks.sh"
TINY = """
[training]
steps = {steps}
batch = 2
side = 32
warmup = 1
negatives = 1
device = "cpu"
[network]
widths = [8, 8, 16, 16]
token_width = 16
embedding_width = 8
heads = 2
surroundings = true
modulation = true
[prompts]
matched = 0.3
unregistered = 0.3
wrong_unregistered = 0.1
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"PYTHON": sys.executable, "WORKERS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env=settings,
        timeout=600,
        check=False,
    )


def test_without_arguments_it_says_how() -> None:
    done = run()
    assert done.returncode == 2
    assert "CONFIG RUN [SECONDS]" in done.stdout


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config, folder = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(TINY.format(steps=1_000_000))
    for doubling in range(6):  # a chunk that ends while Python still starts has done no step
        stopped = run(str(config), str(folder), str(12 * 2**doubling))
        if (folder / "state.safetensors").is_file():
            break
    assert stopped.returncode == 75, stopped.stderr
    assert "go on with the same command" in stopped.stdout
    config.write_text(TINY.format(steps=1))  # fewer steps than there are: the run is done
    done = run(str(config), str(folder), "500")
    assert done.returncode == 0, done.stderr
    assert (folder / "weights.safetensors").is_file()
