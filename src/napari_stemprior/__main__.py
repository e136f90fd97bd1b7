"""``python -m napari_stemprior`` is the command ``stemprior``."""

import sys

from napari_stemprior.commands.main import main

sys.exit(main())
