"""A format of another module: what the record of a format is enough for."""

import json

import pytest
from PIL import Image

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")
pytest.importorskip("tensorflow_serving", reason="extra `serving`")

import alae_tf
from export import __main__, benchmark, registry
from export.formats import Options

TOY = """
import base64

from export import registry, tflite
from export.formats import File, Format
from export.litert import TFLite


class Text(TFLite):
    def __init__(self, path, threads):
        super().__init__(base64.b64decode(path.read_text()), threads)


def write(work, file):
    (graph,) = file.graphs
    text = base64.b64encode(tflite.converted(work, graph, 1)).decode()
    (work.folder / file.name).write_text(text)


registry.FORMATS.append(Format(
    "text", "TFLite files as text",
    patterns=("*.txt",),
    files=lambda options: [File(f"{graph}.txt", (graph,), batch=1) for graph in options.graphs],
    write=write,
    runtimes={"LiteRT of text": Text},
    packages=("pillow",),
    graphs=lambda graphs: graphs.device_signatures(),
    default=False,
))
"""


@pytest.mark.slow
def test_a_format_takes_one_file_and_one_line(style_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "FORMATS", [*registry.FORMATS])
    (tmp_path / "toy_format.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("toy_format")
    with pytest.raises(SystemExit):
        __main__.main(["--help"])
    assert "TFLite files as text" in " ".join(capsys.readouterr().out.split())
    out = tmp_path / "out"
    assert __main__.main([f"--run_dir={style_run}", f"--out={out}", "--formats=text"]) == 0
    names = {"encoder.txt", "decoder.txt", "parity.png", "parity.json"}
    assert {path.name for path in out.iterdir()} == names | {"manifest.json"}
    rows = json.loads((out / "parity.json").read_text())
    assert [(row["file"], row["runtime"], row["holds"]) for row in rows] == [
        (f"{graph}.txt", "LiteRT of text", True)
        for graph in ("encoder", "decoder", "decoder", "decoder")
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["files"]) == names
    assert {"encoder", "decoder"} <= set(manifest["graphs"])
    assert "pillow" in manifest["versions"]
    picture = Image.open(out / "parity.png")
    assert picture.height // 3 in range(66, 100)  # images, by Keras, by the toy

    options = Options(run_dir=style_run, formats=["text"])
    model = alae_tf.load_model(style_run)
    measured = benchmark.measure(model, options, out, 1)
    found = [(row["graph"], row["file"], row["batch"]) for row in measured]
    assert [each for each in found if each[1] != "Keras"] == [
        ("encoder", "encoder.txt", 1), ("decoder", "decoder.txt", 1)
    ]  # fmt: skip
