"""``python -m napari_stemprior`` is the command ``stemprior``."""

import sys

from napari_stemprior.cli import main

sys.exit(main())
