"""New images in one line: `alae generate`, or `alae generate --run_dir=digits --count=40`.

`alae_tf.figures generate` with a shipped model and a name for the picture; all its flags go here.
"""

from __future__ import annotations

import sys

from alae_tf.figures.__main__ import main

MODEL = "faces64"


def arguments(given: list[str]) -> list[str]:
    """Those of `alae_tf.figures`."""
    return ["generate", f"--run_dir={MODEL}", "--out=generated.png", *given]


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
