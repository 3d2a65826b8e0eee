"""The files that TF Serving starts from."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

MODEL_NAME = "alae"
IMAGE = "tensorflow/serving:2.19.1"

BATCHING = """\
max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 4 }
"""

COMPOSE = """\
# docker compose up, here. REST on port 8501, gRPC on 8500.
services:
  serving:
    image: {image}
    ports: ["8500:8500", "8501:8501"]
    volumes:
      - ../saved_model:/models/{name}:ro
      - .:/config:ro
    command:
      - --model_config_file=/config/models.config
      - --enable_batching=true
      - --batching_parameters_file=/config/batching.config
"""


def write(folder: Path) -> None:
    """Writes models.config, batching.config and compose.yaml into a folder, made here."""
    from tensorflow_serving.config import model_server_config_pb2

    server = model_server_config_pb2.ModelServerConfig()
    model = server.model_config_list.config.add()
    model.name, model.base_path, model.model_platform = (
        MODEL_NAME,
        f"/models/{MODEL_NAME}",
        "tensorflow",
    )
    folder.mkdir()
    (folder / "models.config").write_text(text_format.MessageToString(server), encoding="utf-8")
    (folder / "batching.config").write_text(BATCHING, encoding="utf-8")
    (folder / "compose.yaml").write_text(
        COMPOSE.format(image=IMAGE, name=MODEL_NAME), encoding="utf-8"
    )
