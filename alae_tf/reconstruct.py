"""Photos through a model in one line: `alae reconstruct photo.jpg`.

`alae_tf.figures reconstruct` with a shipped model and a name for the picture; all its flags go
here. Faces are cut out as the shipped model of faces has seen them.
"""

from __future__ import annotations

import sys

from alae_tf.environment import start
from alae_tf.figures.__main__ import Door, main

DOOR = Door(
    module="alae_tf.reconstruct",
    kind="reconstruct",
    run_dir="faces64",
    out="reconstructed.png",
    about="Photos over their reconstructions by a shipped model or a run; for the shipped model of "
    "faces the largest face of each is taken.",
    align="lfw",
)


if __name__ == "__main__":
    sys.exit(start(lambda: main(door=DOOR)))
