"""Photos through a model in one line: `alae reconstruct photo.jpg`.

`alae_tf.figures reconstruct` with a shipped model and a name for the picture; all its flags go
here. Faces are cut out as the shipped model of faces has seen them.
"""

from __future__ import annotations

import sys

from alae_tf.figures.__main__ import main

MODEL, CROP = "faces64", "lfw"


def arguments(given: list[str]) -> list[str]:
    """Those of `alae_tf.figures`: files that come first are --images."""
    count = next((i for i, text in enumerate(given) if text.startswith("-")), len(given))
    files, flags = given[:count], given[count:]
    named = any(text.startswith(("--run_dir", "--align")) for text in flags)
    images = ["--images", *files] if files else []
    align = [f"--align={CROP}"] if files and not named else []
    model = [f"--run_dir={MODEL}", "--out=reconstructed.png"]
    return ["reconstruct", *model, *align, *flags, *images]


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
