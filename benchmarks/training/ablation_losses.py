"""What each part of the network brings, on scenes that no variant has seen.

``python -m benchmarks.training.ablation_losses out/ablations -o out/ablations`` takes the networks of
``ablations.py``, shows all of them the same scenes with every kind of prior, recorded as in their training,
and prints the differences to the whole network of the same seed: far finer than F1, which is nearly 1 for all
of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from benchmarks.training.ablations import VARIANTS, networks
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.stemprior_net import NetworkOutput
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.config import read_config
from napari_stemprior.training.examples import Example, collate, make_example
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.structure_bank import library_bank, load_bank

#: Far from the seeds of training and calibration.
_SEED = 30_000_000
_BATCH = 16
_SIDE = 128


class Scenes(Dataset[Example]):
    """Mini-batches that no network was trained on: every kind of prior of one, then of the next.

    The same images come with every kind.
    """

    def __init__(self, bank: list[StructurePrior], scenes: int) -> None:
        self.bank, self.batches, self.config = bank, scenes // _BATCH, read_config("paper")

    def __len__(self) -> int:
        """Count the mini-batches of all kinds."""
        return self.batches * len(PromptKind)

    def __getitem__(self, number: int) -> Example:
        """Draw one."""
        torch.set_num_threads(1)
        batch, kind = divmod(number, len(PromptKind))
        rngs = [np.random.default_rng([_SEED, batch, i]) for i in range(_BATCH)]
        return collate(
            [
                make_example(
                    rng, self.bank, _SIDE, list(PromptKind)[kind],
                    recorded=self.config.recorded, disordered=self.config.disordered,
                )
                for rng in rngs
            ]
        )  # fmt: skip


def measures(output: NetworkOutput, example: Example) -> dict[str, list[float]]:
    """Return the measures of each image of a batch.

    ``entrance`` and ``hidden`` are ten times the cross-entropy of the two column maps, as in training;
    ``named`` is the share of columns whose own token is the most like them; ``retrieved`` tells whether the
    image is most like its own structure of all in the batch.
    """
    cross = F.binary_cross_entropy_with_logits(output.heat, example.heat, reduction="none")
    entrance, hidden = (10 * cross.mean(dim=(2, 3))).T.tolist()
    own = torch.full((len(example.columns),), torch.nan, device=example.columns.device)
    if output.image_embedding is not None and output.structure_embedding is not None:
        likeness = output.image_embedding @ output.structure_embedding.T
        right = likeness.argmax(dim=1) == torch.arange(len(likeness), device=likeness.device)
        own = torch.where(example.matched, right.float(), torch.nan)
    known = example.column_token >= 0
    places = example.columns.masked_fill(~known[..., None], 0.0).round().long()
    likely = (output.features_at(places) @ output.tokens.transpose(1, 2)).masked_fill(
        ~output.token_mask[:, None], -torch.inf
    )
    named = []
    for row, usable in enumerate(known):
        right = likely[row, usable].argmax(dim=1) == example.column_token[row, usable]
        # a cell of one column leaves nothing to tell
        several = bool(output.token_mask[row].sum() > 1)
        named.append(float(right.float().mean()) if len(right) and several else np.nan)
    return {"entrance": entrance, "hidden": hidden, "named": named, "retrieved": own.tolist()}


@torch.inference_mode()
def measure(
    folder: Path, bank: list[StructurePrior], scenes: int, workers: int, device: torch.device
) -> pd.DataFrame:
    """Show every network the same scenes with every kind of prior; one row a scene, kind and network."""
    loaded = {
        (name, seed): load_network(path, VARIANTS[name].build)[0].eval().to(device)
        for (name, seed), path in networks(folder).items()
    }
    rows = []
    drawn = DataLoader(Scenes(bank, scenes), batch_size=None, num_workers=workers)
    for number, cpu in enumerate(tqdm(drawn, unit="batch", disable=None)):
        example, kind = cpu.to(device), list(PromptKind)[number % len(PromptKind)]
        for (name, seed), network in loaded.items():
            values = measures(network(example.image, example.prompt), example)
            for i in range(_BATCH):
                rows.append(
                    {
                        "variant": name,
                        "seed": seed,
                        "kind": str(kind),
                        "scene": number // len(PromptKind) * _BATCH + i,
                    }
                    | {key: column[i] for key, column in values.items()}
                )
    return pd.DataFrame(rows)


def report(results: pd.DataFrame, whole: str) -> str:
    """Write one table a measure: the whole network's mean, and the others' differences to it.

    A difference is the mean over the seeds, with the least and the greatest; bold where all have one sign.
    """
    titles = {
        "entrance": "Cross-entropy of the entrance layer (less is better)",
        "hidden": "Cross-entropy of the hidden layers (less is better)",
        "named": "Columns named rightly",
        "retrieved": f"Images whose own structure is the most like them of {_BATCH}",
    }
    kinds = list(results["kind"].unique())
    others = [v for v in results["variant"].unique() if v != whole]
    means = results.groupby(["variant", "seed", "kind"])[list(titles)].mean()
    parts = []
    for column, title in titles.items():
        shown = (
            kinds
            if column in ("entrance", "hidden")
            else [k for k in kinds if k in (PromptKind.MATCHED, PromptKind.UNREGISTERED)]
        )
        labels = [VARIANTS[name].label for name in (whole, *others)]
        lines = [f"## {title}\n", "| prior | " + " | ".join(labels) + " |"]
        lines.append("|---|" + "---:|" * len(labels))
        for kind in shown:
            wide = means[column].xs(kind, level="kind").unstack("variant")
            cells = [f"{wide[whole].mean():.3f}"]
            for other in others:
                change = (wide[other] - wide[whole]).dropna()
                if not len(change):
                    cells.append("–")
                    continue
                agree = len(change) > 1 and (change > 0).all() | (change < 0).all()
                mean = f"**{change.mean():+.3f}**" if agree else f"{change.mean():+.3f}"
                cells.append(f"{mean} ({change.min():+.3f} to {change.max():+.3f})")
            lines.append(f"| {kind} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main() -> None:
    """Measure the networks of a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of ablations.py")
    parser.add_argument("--scenes", type=int, default=512)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw scenes")
    parser.add_argument("--bank", type=Path, help="crystals of 'stemprior structures'")
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/ablations"))
    options = parser.parse_args()
    bank = load_bank(options.bank) if options.bank else library_bank()
    device = resolve_device(options.device)
    results = measure(options.folder, bank, options.scenes, options.workers, device)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "losses.csv.gz", index=False, float_format="%.5g")
    text = report(results, "full")
    (options.output / "losses.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
