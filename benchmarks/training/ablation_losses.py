"""What each part of the network brings, on scenes that no variant has seen.

``python -m benchmarks.training.ablation_losses ablations -o out/ablations`` takes the networks of
``ablations.py``, shows all of them the same scenes with every kind of prior, and prints differences to the
whole network with their paired bootstrap intervals: far finer than F1, which is nearly 1 for all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks.training.ablations import VARIANTS
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.stemprior_net import NetworkOutput, StructurePromptedNet
from napari_stemprior.training.examples import Example, collate, make_example
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.structure_bank import library_bank

#: Far from the seeds of training and calibration.
_SEED = 30_000_000
_BATCH = 16
_SIDE = 128


def batch(number: int, kind: PromptKind, bank: list) -> Example:  # type: ignore[type-arg]
    """Draw a batch; the same number shows the same images whatever the kind of prior."""
    rngs = [np.random.default_rng([_SEED, number, i]) for i in range(_BATCH)]
    return collate([make_example(rng, bank, _SIDE, kind) for rng in rngs])


def measures(output: NetworkOutput, example: Example) -> dict[str, list[float]]:
    """Return the measures of each image of a batch.

    ``entrance`` and ``hidden`` are ten times the cross-entropy of the two column maps, as in training;
    ``named`` is the share of columns whose own token is the most like them; ``retrieved`` tells whether the
    image is most like its own structure of all in the batch.
    """
    cross = F.binary_cross_entropy_with_logits(output.heat, example.heat, reduction="none")
    entrance, hidden = (10 * cross.mean(dim=(2, 3))).T.tolist()
    own = torch.full((len(example.columns),), torch.nan)
    if output.image_embedding is not None and output.structure_embedding is not None:
        likeness = output.image_embedding @ output.structure_embedding.T
        own = (likeness.argmax(dim=1) == torch.arange(len(likeness))).float()
    named = []
    for row in range(len(example.columns)):
        usable = example.column_token[row] >= 0
        place = example.columns[row][usable].round().long()
        feature = output.features[row][:, place[:, 0], place[:, 1]]
        logits = (output.tokens[row] @ feature).masked_fill(~output.token_mask[row][:, None], -torch.inf)
        right = logits.argmax(dim=0) == example.column_token[row][usable]
        # a cell of one column leaves nothing to tell
        several = bool(output.token_mask[row].sum() > 1)
        named.append(float(right.float().mean()) if len(right) and several else np.nan)
    return {"entrance": entrance, "hidden": hidden, "named": named, "retrieved": own.tolist()}


@torch.inference_mode()
def measure(networks: dict[str, StructurePromptedNet], scenes: int) -> pd.DataFrame:
    """Show every network the same scenes with every kind of prior; one row a scene, kind and network."""
    bank = library_bank()
    rows = []
    for number in tqdm(range(scenes // _BATCH), unit="batch", disable=None):
        for kind in PromptKind:
            example = batch(number, kind, bank)
            for name, network in networks.items():
                values = measures(network(example.image, example.prompt), example)
                for i in range(_BATCH):
                    rows.append(
                        {"variant": name, "kind": str(kind), "scene": number * _BATCH + i}
                        | {key: column[i] for key, column in values.items()}
                    )
    return pd.DataFrame(rows)


def report(results: pd.DataFrame, whole: str) -> str:
    """Write one table a measure: the whole network's mean, and the others' differences to it."""
    rng = np.random.default_rng(0)
    titles = {
        "entrance": "Cross-entropy of the entrance layer (less is better)",
        "hidden": "Cross-entropy of the hidden layers (less is better)",
        "named": "Columns named rightly",
        "retrieved": f"Images whose own structure is the most like them of {_BATCH}",
    }
    kinds = list(results["kind"].unique())
    others = [v for v in results["variant"].unique() if v != whole]
    parts = []
    for column, title in titles.items():
        shown = (
            kinds
            if column in ("entrance", "hidden")
            else [k for k in kinds if k in (PromptKind.MATCHED, PromptKind.UNREGISTERED)]
        )
        wide = results.pivot(index=["kind", "scene"], columns="variant", values=column)
        lines = [f"## {title}\n", "| prior | " + " | ".join([whole, *others]) + " |"]
        lines.append("|---|" + "---:|" * (1 + len(others)))
        for kind in shown:
            part = wide.loc[kind]
            cells = [f"{part[whole].mean():.3f}"]
            for other in others:
                change = (part[other] - part[whole]).dropna().to_numpy()
                if not len(change):
                    cells.append("–")
                    continue
                draws = rng.choice(change, (1000, len(change))).mean(axis=1)
                low, high = np.percentile(draws, [2.5, 97.5])
                cells.append(f"{change.mean():+.3f} ({low:+.3f} to {high:+.3f})")
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
    parser.add_argument("-o", "--output", type=Path, default=Path("out/ablations"))
    options = parser.parse_args()
    networks = {
        variant.label: load_network(path, variant.build)[0].eval()
        for name, variant in VARIANTS.items()
        if (path := options.folder / name / "weights.safetensors").exists()
    }
    results = measure(networks, options.scenes)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "losses.csv", index=False, float_format="%.5g")
    text = report(results, VARIANTS["full"].label)
    (options.output / "losses.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
