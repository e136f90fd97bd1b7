"""The benchmarks are run from the root of the repository: ``python -m`` and a module."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
