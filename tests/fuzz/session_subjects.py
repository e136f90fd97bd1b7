"""Session files, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from mutations import Rng, damaged_file, on_bytes, on_json, on_text
from session_bench import saved, unsaved
from subjects import Change, Seed, Subject

from napari_stemprior.atoms.table import STATUSES
from napari_stemprior.progress import drain
from napari_stemprior.workflow.open_session import open_session


def sessions(folder: Path) -> list[Seed]:
    """Write sessions of one and of two images; the expected answer is the atoms of every state."""
    seeds = []
    for count in (1, 2):
        images = [unsaved(folder / f"{number}.tif", number) for number in range(count)]
        path = saved(folder / f"{count}.stemprior.json", *images)
        seeds.append(Seed(path, [one.image.states[0].history.rows for one in images]))
    return seeds


def damaged_session(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        way = rng.random()
        if way < 0.6:
            return on_json(data, rng)
        return on_bytes(data, rng, seed) if way < 0.8 else on_text(data, rng)

    return damaged_file(seed, folder, rng, change)


def judge_session(path: Path, seed: Seed, change: Change) -> str:
    """What is read has atoms as they can be; what differs from what was saved is said."""
    opened = drain(open_session(path, all_needed=False))
    images = opened.saved.images
    for image in images:
        for state in image.states:
            history = state.history
            for position in (0, len(history.steps)):
                history.go_to(position)
                rows = history.rows
                if not np.isfinite(rows[["y_px", "x_px"]].to_numpy(float)).all():
                    return "a position that is none"
                if not set(rows["status"]) <= set(STATUSES):
                    return "a status that is none"
        json.dumps(image.context.to_dict())
    same = json.loads(path.read_bytes()) == json.loads(seed.path.read_bytes())
    if not same and not opened.remarks:
        return "another session, without a word"
    if change.harmless and len(images) != len(seed.expected):
        return "images are missing"
    return ""


SUBJECTS = [Subject("sessions", sessions, damaged_session, judge_session, weight=1.0)]
