"""Writes the configuration of TF Serving."""

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
# Run `docker compose up` in this folder: REST on port 8501, gRPC on 8500.
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
    """Writes models.config, batching.config and compose.yaml into a new folder."""
    from tensorflow_serving.config import model_server_config_pb2

    server = model_server_config_pb2.ModelServerConfig()
    server.model_config_list.config.add(
        name=MODEL_NAME, base_path=f"/models/{MODEL_NAME}", model_platform="tensorflow"
    )
    folder.mkdir()
    for name, text in (
        ("models.config", text_format.MessageToString(server)),
        ("batching.config", BATCHING),
        ("compose.yaml", COMPOSE.format(image=IMAGE, name=MODEL_NAME)),
    ):
        (folder / name).write_text(text, encoding="utf-8")
