"""`alae COMMAND …`, the same as `python -m alae_tf COMMAND …`: all commands under one name."""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
from pathlib import Path

import alae_tf
from alae_tf.system.environment import start

COMMANDS = {
    "reconstruct": ("alae_tf.figures.__main__:reconstruct", "photos through a shipped model"),
    "generate": ("alae_tf.figures.__main__:generate", "new images from a shipped model"),
    "train": ("alae_tf.train", "trains a model, or goes on training it"),
    "prepare": ("alae_tf.prepare", "writes images as TFRecords, ready at every resolution"),
    "evaluate": ("alae_tf.evaluate", "measures how good a run is"),
    "figures": ("alae_tf.figures", "draws pictures of a run"),
    "align": ("alae_tf.align", "cuts faces out of photos, and puts edited ones back"),
    "directions": ("alae_tf.directions", "finds directions in w, as of a smile"),
    "export": ("alae_tf.export", "writes a run as SavedModel, TFLite and ONNX, and checks them"),
    "encode": ("alae_tf.export.encode", "images to w, or w to images, with a TFLite file"),
    "client": ("alae_tf.export.client", "asks a server that runs an exported model"),
    "load": ("alae_tf.export.load", "measures a server by many clients at once"),
    "demo": ("alae_tf.export.demo", "a page that runs the shipped models in the browser"),
    "official": ("alae_tf.official", "imports and verifies the authors' weights"),
    "benchmark": ("alae_tf.benchmark", "measures training at each level"),
    "memory": ("alae_tf.memory", "tells which batch fits which GPU"),
    "export-benchmark": ("alae_tf.export.benchmark", "measures the exported formats"),
}


def overview() -> str:
    """What --help prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: alae COMMAND [flags]",
            "",
            "Adversarial Latent Autoencoders in TensorFlow. The commands:",
            "",
            *lines,
            "",
            "alae COMMAND --help tells its flags; alae --version the version.",
            "Example: alae train --flagfile=quickstart --run_dir=runs/quickstart",
            "",
        ]
    )


def locate(module: str) -> str:
    """The module as it can be imported: in a bare clone `alae_tf.export` is the folder `export`."""
    if not module.startswith("alae_tf.export") or importlib.util.find_spec("alae_tf.export"):
        return module
    sys.path.insert(0, str(Path(alae_tf.__file__).parents[1]))
    return module.removeprefix("alae_tf.")


def main() -> int | None:
    """The console command `alae`."""
    return start(run)


def run() -> int:
    """Runs a command; its exit code, or 2 for one that there is not."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"], ["help"]):
        print(overview(), end="")
        return 0
    if arguments[:1] == ["--version"]:
        print(f"alae {alae_tf.__version__}")
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        near = difflib.get_close_matches(arguments[0], COMMANDS, 1) if arguments else []
        meant = f" Did you mean {near[0]}?" if near else ""
        wrong = f"alae: {arguments[0]!r} is no command.{meant}\n\n" if arguments else ""
        print(wrong + overview(), end="", file=sys.stderr)
        return 2
    typed = "python -m alae_tf" if sys.argv[0].endswith("__main__.py") else "alae"
    sys.argv = [
        f"{typed} {arguments[0]}",
        *arguments[1:],
    ]  # for `errors.program`
    module, _, function = COMMANDS[arguments[0]][0].partition(":")
    if function:
        return getattr(importlib.import_module(module), function)(arguments[1:])
    runpy.run_module(locate(module), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
