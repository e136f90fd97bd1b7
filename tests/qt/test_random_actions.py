"""Whatever a person does one after another, nothing crashes and nothing goes wrong in silence."""

import os

import numpy as np
from napari.utils.notifications import notification_manager
from random_desk import RandomDesk, errors, listening

#: Sequences of actions: few in the suite, a hundred with ``make random-actions``, which takes half an hour.
SEQUENCES = range(
    int(os.environ.get("STEMPRIOR_FIRST_SEED", "0")), int(os.environ.get("STEMPRIOR_SEQUENCES", "8"))
)


def play(viewer, qtbot, seeds):
    for seed in seeds:
        notification_manager.records.clear()
        person = RandomDesk(viewer, seed)
        with listening() as log, qtbot.captureExceptions() as exceptions:
            person.run()
            if person._editor is not None:
                rows = person._editor.rows
                assert np.isfinite(rows[["y_px", "x_px"]].to_numpy(float)).all()
                assert rows["atom_id"].is_unique
            person.clear()
        told = f"seed {seed}: {', '.join(person.done)}"
        assert not exceptions, told
        assert not log.messages, told
        assert not errors(), (told, errors())


def test_random_actions(make_napari_viewer_proxy, qtbot):
    play(make_napari_viewer_proxy(strict_qt=True, show=True), qtbot, SEQUENCES)
