"""The documentation as a site: its build is strict, it is complete by itself, and search works."""

import os
import runpy
import shutil
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytest.importorskip("furo", reason="extra `docs`")
pytest.importorskip("myst_parser", reason="extra `docs`")

faults = runpy.run_path(str(ROOT / "docs" / "crawl.py"))["faults"]


def build(root, out):
    """`make docs` for the pages of a folder."""
    flags = ["-q", "-E", "-W", "--keep-going", "-d", str(out / "doctrees"), "-c", "docs"]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *flags, ".", str(out / "site")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out / "site"


def test_every_link_of_the_site_leads_somewhere(site):
    assert faults(site) == []
    assert len(list(site.rglob("*.html"))) > 30
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_the_reference_shows_arguments_errors_and_the_fields_of_records(site):
    models, records, runs = (
        (site / "docs" / "api" / f"{name}.html").read_text()
        for name in ("models", "records", "runs")
    )
    assert 'id="alae_tf.load_model"' in models
    assert "images seen at the checkpoint to load" in models  # an argument
    assert 'href="runs.html#alae_tf.system.errors.CheckpointError"' in models  # an error
    assert "names of the feature networks that it needs" in records  # a comment of a field
    assert "Half-life of the EMA" in runs  # the help of a setting
    assert "&lt;factory" not in models + records  # which spoils signatures
    assert "Return type" not in models + records + runs  # the hints have it


def test_search_needs_no_server_and_no_other_host(site):
    from tests.export.page.browser import CHROMIUM, DRIVER, open_browser, wait

    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver (Debian: chromium-driver)")
    browser = open_browser()
    try:
        browser.get(f"{(site / 'search.html').as_uri()}?q=truncation")
        found = "return document.querySelector('ul.search a[href*=\"docs/api/models.html\"]')"
        wait(browser, lambda: browser.execute_script(found))
        loaded = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        assert {url.partition(":")[0] for url in browser.execute_script(loaded)} <= {"file", "data"}
    finally:
        browser.quit()


@pytest.mark.slow
def test_the_build_fails_for_a_dead_link_a_missing_page_and_an_unknown_name(tmp_path):
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("examples", "models", "CITATION.cff"):
        (root / name).symlink_to(ROOT / name)
    for page in ROOT.glob("*.md"):
        shutil.copy(page, root)
    (root / "docs" / "health.md").unlink()
    with open(root / "docs" / "data.md", "a") as file:
        file.write("\n[a](nowhere.md) [b](training.md#nowhere)\n")
    with open(root / "docs" / "api" / "runs.md", "a") as file:
        names = ".. autofunction:: alae_tf.nowhere\n\n:py:obj:`alae_tf.gone`"
        file.write(f"\n```{{eval-rst}}\n{names}\n```\n")
    done = build(root, tmp_path)
    assert done.returncode != 0
    links = ("'nowhere.md'", "'nowhere'", "'docs/health'")
    for text in (*links, "'nowhere' from module", "alae_tf.gone"):
        assert text in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="b.html#here">b</a> <a href="https://example.com">c</a> <img src="a.png">', ""),
        ('<a href="b.html#there">b</a>', "b.html#there: has no such anchor"),
        ('<a href="#there">b</a>', "#there: has no such anchor"),
        ('<a href="c.html">c</a>', "c.html: does not exist"),
        ('<a href="../b.html">b</a>', "../b.html: does not exist"),
        ('<a href="/b.html">b</a>', "/b.html: starts at the root"),
        ('<a href="folder/">b</a>', "folder/: does not exist"),
        ('<img src="missing.png">', "missing.png: does not exist"),
        ('<img srcset="a.png 1x, c.png 2x">', "c.png: does not exist"),
        ('<img src="//example.com/a.png">', "//example.com/a.png: is loaded from another host"),
        ('<script src="https://example.com/a.js"></script>', "is loaded from another host"),
        ('<link rel="stylesheet" href="https://example.com/a.css">', "is loaded from another host"),
        ('<link rel="canonical" href="https://example.com/">', ""),
        ("<style>@import 'https://example.com/a.css';</style>", "is loaded from another host"),
        ('<p style="background: url(https://example.com/a.png)">', "is loaded from another host"),
        ('<script>import("https://example.com/a.js")</script>', "is loaded from another host"),
        ('<svg><use href="#there"></use></svg>', "#there: has no such anchor"),
    ],
)
def test_the_crawler_finds(tmp_path, html, fault):
    site = tmp_path / "site"
    (site / "folder").mkdir(parents=True)
    (site / "index.html").write_text(html)
    (site / "b.html").write_text('<h1 id="here">b</h1>')
    (site / "a.png").touch()
    (tmp_path / "b.html").touch()
    found = faults(site)
    assert len(found) == bool(fault), found
    assert fault in "".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.css", "p { background: url('https://example.com/a.png') }"),
        ("a.js", 'import { a } from "https://example.com/a.js";'),
        ("a.js", "const x = await fetch(`https://example.com/a`);"),
    ],
)
def test_the_crawler_reads_styles_and_scripts(tmp_path, name, text):
    (tmp_path / "index.html").write_text("")
    (tmp_path / name).write_text(text)
    (found,) = faults(tmp_path)
    assert found.startswith(f"{name}: https://example.com/a")
    assert found.endswith("is loaded from another host")
