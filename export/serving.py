"""The configuration of TF Serving: files and their texts."""

MODEL_NAME = "alae"
FILES = {
    "models.config": f"""\
model_config_list {{
  config {{
    name: "{MODEL_NAME}"
    base_path: "/models/{MODEL_NAME}"
    model_platform: "tensorflow"
  }}
}}
""",
    "batching.config": """\
max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 4 }
""",
    "compose.yaml": f"""\
# Run `docker compose up` in this folder: REST on port 8501, gRPC on 8500.
services:
  serving:
    image: tensorflow/serving:2.19.1
    ports: ["8500:8500", "8501:8501"]
    volumes:
      - ../saved_model:/models/{MODEL_NAME}:ro
      - .:/config:ro
    command:
      - --model_config_file=/config/models.config
      - --enable_batching=true
      - --batching_parameters_file=/config/batching.config
""",
}
