"""New images in one line: `alae generate`, or `alae generate --run_dir=digits --count=40`.

`alae_tf.figures generate` with a shipped model and a name for the picture; all its flags go here.
"""

from __future__ import annotations

import sys

from alae_tf.environment import start
from alae_tf.figures.__main__ import Door, main

DOOR = Door(
    module="alae_tf.generate",
    kind="generate",
    run_dir="faces64",
    out="generated.png",
    about="New images from a shipped model or a run; a row for each of several --psi.",
)


if __name__ == "__main__":
    sys.exit(start(lambda: main(door=DOOR)))
