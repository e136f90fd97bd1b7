"""Settings that every test shares; set before napari or torch is imported."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A worker that touches the viewer off the main thread fails here instead of crashing at someone's desk.
os.environ.setdefault("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")
# Torch reads this when it starts. Small arrays: more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "quick", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
