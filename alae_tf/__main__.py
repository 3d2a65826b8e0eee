"""All commands under one name: `alae COMMAND …` or `python -m alae_tf COMMAND …`."""

import difflib
import importlib.util
import runpy
import sys
from pathlib import Path

import alae_tf
from alae_tf.system.environment import start

COMMANDS = {  # "module" or "module:function", and a line for --help
    "reconstruct": ("alae_tf.figures.__main__:reconstruct", "reconstructs photos with a model"),
    "generate": ("alae_tf.figures.__main__:generate", "generates new images with a shipped model"),
    "train": ("alae_tf.train", "trains a model, or continues a run"),
    "prepare": ("alae_tf.prepare", "writes images as TFRecords, for faster training"),
    "evaluate": ("alae_tf.evaluate", "measures the quality of a run"),
    "figures": ("alae_tf.figures", "draws figures of a run"),
    "align": ("alae_tf.align", "crops faces from photos, and pastes edited faces back"),
    "directions": ("alae_tf.directions", "finds directions in w, for example for a smile"),
    "export": ("alae_tf.export", "exports a run as SavedModel, TFLite and ONNX, with checks"),
    "encode": ("alae_tf.export.encode", "encodes images to w, or decodes w, with a TFLite file"),
    "client": ("alae_tf.export.client", "sends requests to a server of an exported model"),
    "load": ("alae_tf.export.load", "load-tests a server of an exported model"),
    "demo": ("alae_tf.export.demo", "serves a page that runs the shipped models in the browser"),
    "official": ("alae_tf.official", "imports the authors' weights, and reproduces their numbers"),
    "benchmark": ("alae_tf.benchmark", "measures the speed of training"),
    "memory": ("alae_tf.memory", "estimates the largest batch for each GPU size"),
    "export-benchmark": ("alae_tf.export.benchmark", "measures the speed of the exported formats"),
}
OVERVIEW = """\
usage: alae COMMAND [flags]

Adversarial Latent Autoencoders in TensorFlow. The commands:

{}

alae COMMAND --help shows a command's flags, alae --version the version.
Example: alae train --flagfile=quickstart --run_dir=runs/quickstart
"""


def locate(module: str) -> str:
    """A module's importable name: in a clone, `alae_tf.export` is the folder `export`."""
    if not module.startswith("alae_tf.export") or importlib.util.find_spec("alae_tf.export"):
        return module
    sys.path.insert(0, str(Path(alae_tf.__file__).parents[1]))
    return module.removeprefix("alae_tf.")


def main() -> int | None:
    """The console command `alae`."""
    return start(run)


def run() -> int:
    """Runs the command named on the command line; returns its exit code, or 2 if it is unknown."""
    arguments = sys.argv[1:]
    overview = OVERVIEW.format(
        "\n".join(f"  {name:<16}  {about}" for name, (_, about) in COMMANDS.items())
    )
    if arguments[:1] in (["-h"], ["--help"], ["help"]):
        print(overview, end="")
        return 0
    if arguments[:1] == ["--version"]:
        print(f"alae {alae_tf.__version__}")
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        near = difflib.get_close_matches(arguments[0], COMMANDS, 1) if arguments else []
        meant = f" Did you mean {near[0]}?" if near else ""
        wrong = f"alae: {arguments[0]!r} is not a command.{meant}\n\n" if arguments else ""
        print(wrong + overview, end="", file=sys.stderr)
        return 2
    typed = "python -m alae_tf" if sys.argv[0].endswith("__main__.py") else "alae"
    sys.argv = [f"{typed} {arguments[0]}", *arguments[1:]]  # for `errors.program`
    module, _, function = COMMANDS[arguments[0]][0].partition(":")
    if function:
        return getattr(importlib.import_module(module), function)(arguments[1:])
    runpy.run_module(locate(module), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
