# alae_tf for CPUs: docker build -t alae . && docker run -v "$PWD/runs:/home/alae/runs" alae \
#   train --flagfile=quickstart --run_dir=runs/quickstart
# For GPUs (untested): docker build --build-arg EXTRAS=export,gpu -t alae:gpu . && docker run --gpus all …
# The image has not been built yet.
FROM python:3.11-slim

ARG EXTRAS=export
RUN useradd --create-home alae
WORKDIR /src
COPY pyproject.toml requirements.txt constraints.txt README.md LICENSE ./
COPY alae_tf alae_tf
COPY export export
COPY configs configs
COPY models models
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

USER alae
WORKDIR /home/alae
ENTRYPOINT ["alae"]
CMD ["--help"]
