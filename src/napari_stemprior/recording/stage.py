"""What is said while a recording is prepared."""

from napari_stemprior.progress import Progress

#: What the progress says.
STAGE = "preparing the recording"
#: Between two steps.
PREPARING = Progress(0, 1, STAGE)
