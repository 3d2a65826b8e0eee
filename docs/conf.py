"""Sphinx's configuration: the project's pages as a site, see `make docs`.

The pages stay plain Markdown, which code hosts show too; what only the site needs stands here. A
link from a page to a file of another kind becomes a download, so that the site is complete by
itself. Nothing is loaded from other hosts.
"""

import dataclasses
import inspect
import re
import shutil

from docutils import nodes
from sphinx.domains.python import PyXRefRole

import alae_tf
from alae_tf.config.settings import to_text
from alae_tf.system.quiet import import_tensorflow

NAVIGATION = {
    "": ["docs/README"],
    "Tutorials": [
        *("docs/tutorials/measure", "docs/tutorials/serve"),
        *("docs/tutorials/device", "docs/tutorials/photos"),
    ],
    "Guide": [
        *("docs/training", "docs/health", "docs/data", "docs/evaluating", "docs/figures"),
        *("docs/gallery", "docs/photos", "docs/classifier", "docs/deploying", "docs/storage"),
        "docs/clusters",
    ],
    "Results": [
        "docs/results",
        "The model of digits <models/digits/README>",
        "The model of faces <models/faces64/README>",
    ],
    "Python": ["docs/api/models", "docs/api/runs", "docs/api/export", "docs/api/records"],
    "Development": ["docs/architecture", "docs/decisions", "BUILD", "CONTRIBUTING", "CHANGELOG"],
    "Lab notebook": [
        *("docs/measurements/speed", "docs/measurements/memory", "docs/measurements/precision"),
        *("docs/measurements/data", "docs/measurements/quickstart", "docs/measurements/export"),
        "docs/measurements/reliability",
    ],
}

project = "alae_tf"
release = alae_tf.__version__
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "models/*/README.md"]
exclude_patterns = [".venv"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?s)(?!(alae_tf|export)\.).*")]  # names of other projects
nitpick_ignore = [  # names that docstrings mention and the reference leaves out
    ("py:obj", "alae_tf.config.flagfile"),
    ("py:obj", "alae_tf.config.flags"),
    ("py:obj", "alae_tf.data.archive"),
    ("py:obj", "alae_tf.features.lpips.Lpips"),
    ("py:obj", "alae_tf.images.alignment.CROPS"),
    ("py:obj", "alae_tf.images.fit.fit"),
    ("py:class", "alae_tf.networks.alae.ALAE"),
    ("py:obj", "alae_tf.system.float32"),
]

myst_heading_anchors = 3
highlight_language = "text"
default_role = "py:obj"  # of `names` in docstrings
add_module_names = False
smartquotes = False  # which would change --flags
napoleon_use_ivar = True
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"alae_tf {release}"
html_copy_source = False
html_show_copyright = False
if tags.has("demo"):  # noqa: F821 (Sphinx defines it; `make site` sets this tag)
    templates_path = ["templates"]
    parts = ("brand", "search", "scroll-start", "navigation", "scroll-end")
    html_sidebars = {"**": [f"sidebar/{part}.html" for part in parts]}
    html_sidebars["**"].insert(2, "demo.html")


class Name(PyXRefRole):
    """A `name` in a docstring: a link if it is in this reference, shown as it is written."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        _, target = super().process_link(env, refnode, has_explicit_title, title, target)
        return title, target


def add_navigation(app, docname, source):
    """Ends the front page with the order of all pages."""
    if docname == root_doc:
        for caption, pages in NAVIGATION.items():
            head = f":hidden:\n:caption: {caption}" if caption else ":hidden:"
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n{head}\n\n{listed}\n```\n"


def add_fields(app, what, name, record, options, lines):
    """Adds the fields of a record to its docstring, each described by its comment or its help."""
    if what != "class" or any(line.rstrip() in ("Args:", "Attributes:") for line in lines):
        return
    if abouts := helps(record) or comments(record):
        made_of = dataclasses.is_dataclass(record) or hasattr(record, "_fields")
        section = "Args:" if made_of else "Attributes:"
        lines += ["", section, *(f"    {field}: {about}" for field, about in abouts.items())]


def add_names(app, what, name, registry, options, lines):
    """Describes a registry by the names of its records."""
    if what == "data":
        names = registry if isinstance(registry, dict) else [each.name for each in registry]
        lines[:] = [f"The registry. Its records: {', '.join(names)}."]


def set_factories(app, what, name, obj, options, signature, returns):
    """Shows the default of a field that a function makes, which otherwise spoils the signature."""
    return signature and signature.replace("<factory>", "..."), returns


def helps(record):
    """Settings by name: their help, default and valid values."""
    found = {}
    for field in dataclasses.fields(record) if dataclasses.is_dataclass(record) else ():
        if help := field.metadata.get("help"):
            valid = field.metadata["within"] or ", ".join(field.metadata["choices"])
            default = to_text(field.default) or '""'
            found[field.name] = f"{help} Default: {default}." + f" Valid: {valid}." * bool(valid)
    return found


def comments(record):
    """The comments above or beside the fields of a class, by name."""
    if not inspect.get_annotations(record):
        return {}
    found, above = {}, []
    for line in inspect.getsource(record).splitlines():
        if alone := re.fullmatch(r" {4}# (.*)", line):
            above.append(alone[1])
            continue
        if field := re.match(r" {4}(\w+): ", line):
            found[field[1]] = " ".join([*above, line.partition("  # ")[2]]).strip()
        above = []
    return {name: about for name, about in found.items() if about}


def set_dashes(app, doctree, docname):
    """Sets the dashes between parameters and their descriptions, which smart quotes would set."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def add_index(app, exception):
    """The front page is also index.html."""
    if exception is None:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app):
    import_tensorflow()
    app.add_role_to_domain("py", "obj", Name(), override=True)
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", add_fields, priority=400)  # before Napoleon
    app.connect("autodoc-process-docstring", add_names)
    app.connect("autodoc-process-signature", set_factories)
    app.connect("doctree-resolved", set_dashes)
    app.connect("build-finished", add_index)
