"""A file imports only from floors above it; BUILD.md shows the same table."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    set("config schedule ops losses pixels interrupt events faults pytorch_file".split()),
    {"layers", "optimizer", "prepared", "run_dir"},
    {"networks"},
    {"model"},
    {"data", "train_step", "metrics", "strategy", "official_weights"},
    {"checkpoint"},
    {"autoencoder", "official_goldens"},
    {"pictures", "shards", "official_import"},
    {"flags", "loop"},
    {"train", "benchmark", "memory", "prepare", "official"},
]
ALLOWED_BESIDE = {("schedule", "config"), ("losses", "ops")}
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FILES = sorted(path for path in (ROOT / "alae_tf").rglob("*.py") if path.parent != ROOT)


def imported(path):
    """The alae_tf modules that a file imports when it is itself imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("alae_tf"):
            parts = node.module.split(".")
            yield from parts[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("alae_tf."))


def unit(path):
    relative = path.relative_to(ROOT / "alae_tf")
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_upwards(path):
    here = unit(path)
    if here == "__init__":
        assert not list(imported(path))
        return
    for name in imported(path):
        assert name == here or FLOOR[name] < FLOOR[here] or (here, name) in ALLOWED_BESIDE, name


# What export/ may see of alae_tf: models as users load them, nothing of training.
SEEN_BY_EXPORT = {
    "autoencoder", "checkpoint", "config", "data", "model", "ops", "pictures", "pixels"
}  # fmt: skip
WITHOUT_TENSORFLOW = {
    "__init__",
    "__main__",
    "encode",
    "client",
    "runtimes",
    "benchmark",
    "publish",
}


@pytest.mark.parametrize("path", sorted((ROOT / "export").glob("*.py")), ids=lambda p: p.name)
def test_export_sees_models_alone(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            names = parts[1:2] or [alias.name for alias in node.names]
            assert parts[0] != "alae_tf" or set(names) <= SEEN_BY_EXPORT, names
    if path.stem in WITHOUT_TENSORFLOW:
        for node in tree.body:
            names = [a.name for a in getattr(node, "names", [])] + [getattr(node, "module", "")]
            assert not any((n or "").startswith(("tensorflow", "keras")) for n in names)


WITHOUT_TENSORFLOW_HERE = (
    "config schedule pixels interrupt prepared flags run_dir train benchmark memory prepare".split()
)


def test_config_and_flags_do_not_import_tensorflow():
    for name in WITHOUT_TENSORFLOW_HERE:
        for node in ast.parse((ROOT / "alae_tf" / f"{name}.py").read_text()).body:
            names = [a.name for a in getattr(node, "names", [])] + [getattr(node, "module", "")]
            assert not any((n or "").startswith(("tensorflow", "keras")) for n in names), name
