"""Threads of the network that wait for each other, and leave the processor to others meanwhile.

A layer of the network ends when its last thread has ended; the others wait. GNU's OpenMP, which torch brings
along on Linux, lets them turn in a circle some 300,000 times before they sleep, as if nobody else wanted the
processor. Beside another program each layer then waits for a thread that does not get its turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

#: Times that a waiting thread looks before it sleeps (``GOMP_SPINCOUNT``). A segmentation of 2048² pixels on
#: two cores beside a training run takes 49 s with it and 132 s without (97 s with 50,000, 40 s with 1,000),
#: alone the same; beside a program of two threads it makes no difference that three turns show
#: (``python -m benchmarks.speed.beside_another_program``, docs/speed.md).
_LOOKS = 10_000


def sleep_sooner(environment: MutableMapping[str, str] | None = None) -> None:
    """Let threads that wait sleep sooner, unless the user has said how long they shall stay awake.

    OpenMP reads the setting when torch is imported; where it is imported already, nothing changes.

    Parameters
    ----------
    environment : mutable mapping, optional
        Of this process where not given. A value of ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY`` stays.
    """
    here = os.environ if environment is None else environment
    if sys.platform == "linux" and "OMP_WAIT_POLICY" not in here:
        here.setdefault("GOMP_SPINCOUNT", str(_LOOKS))
