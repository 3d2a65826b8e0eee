"""docs/classifier.md: its code runs, and prints about the numbers that it shows."""

import re

import pytest

from tests.paths import ROOT

PAGE = (ROOT / "docs/classifier.md").read_text()
ACCURACY = r"^ *([a-z][a-z -]*): ([\d.]+)%$"


@pytest.mark.slow
def test_the_page_prints_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S)), {})
    said = capsys.readouterr().out
    shown, measured = (dict(re.findall(ACCURACY, text, re.M)) for text in (PAGE, said))
    assert len(shown) == 3 and shown.keys() == measured.keys()
    for name, accuracy in measured.items():
        assert float(accuracy) == pytest.approx(float(shown[name]), abs=2), name
    assert "5 of 5" in said and "5 of 5" in PAGE
