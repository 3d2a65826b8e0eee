"""The devices and machines that a run is spread over.

The workers of a multi-worker run are the same command on every machine. The cluster, and this
process' place in it, are read from the environment:

- TF_CONFIG, unless it is empty or {}: TensorFlow's JSON of {"cluster": {"worker": [addresses]},
  "task": …}, optionally with a "chief" beside the workers;
- else Slurm's variables, in a job step started by `srun`;
- else Kubernetes' API, for the pods of one Job on the network of their hosts. ALAE_POD_LABEL
  selects them (for example job-name=alae), ALAE_WORKERS is their number, and HOST_IP the address
  of this pod's node.
"""

from __future__ import annotations

import os
import shutil
import time

import tensorflow as tf

from alae_tf.config import Config, ConfigError
from alae_tf.system import schema

KUBERNETES_PORT = 8470
KUBERNETES_SECONDS = 600.0  # the longest wait for all pods to run


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """The strategy that `config.strategy` names; call it before any other use of TensorFlow.

    Also switches TensorFloat-32 on or off (`config.tf32`). Raises ConfigError if the environment
    describes no cluster, or the batches cannot be divided.
    """
    tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
    if os.environ.get("TF_CONFIG") == "":
        del os.environ["TF_CONFIG"]  # which MirroredStrategy would parse
    kind = config.strategy
    if kind == "auto":
        kind = "multi_worker" if len(_tf_config()) > 1 else "mirrored"
    if kind == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolve_cluster())
    else:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name for device in devices]
        if kind == "one_device":
            strategy = tf.distribute.OneDeviceStrategy(names[0])
        else:
            strategy = tf.distribute.MirroredStrategy(names)
    check_batches(config, strategy.num_replicas_in_sync)
    return strategy


def check_batches(config: Config, replicas: int) -> None:
    """Raises ConfigError unless every level's batch can be divided among the replicas and the
    --accumulate parts."""
    parts = replicas * config.accumulate
    for batch in config.batch_by_level:
        if batch % parts:
            accumulate = f" times --accumulate={config.accumulate}" if config.accumulate > 1 else ""
            raise ConfigError(
                f"--batch_by_level={','.join(map(str, config.batch_by_level))}: {batch} cannot be "
                f"divided among {replicas} devices{accumulate}; use multiples of {parts}."
            )


def resolve_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The cluster that the environment describes, with this process' place in it. Raises
    ConfigError if it describes no cluster, or describes it wrongly."""
    if _tf_config():
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    try:
        if "SLURM_PROCID" in os.environ:
            return _slurm()
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            return _kubernetes()
    except (ImportError, RuntimeError, KeyError, ValueError) as error:
        raise ConfigError(f"--strategy=multi_worker: cannot find the cluster ({error}).") from None
    raise ConfigError(
        "--strategy=multi_worker: no cluster found; set TF_CONFIG, or start with Slurm's srun or "
        "as a Kubernetes Job (docs/clusters.md)."
    )


def _tf_config() -> list[str]:
    """The addresses of the processes in TF_CONFIG, the chief's first; none if it is unset or {}.
    Raises ConfigError if it names jobs other than workers and one chief, or not this process."""
    try:
        config = schema.parse(os.environ.get("TF_CONFIG") or "{}", {"cluster?": {str: [str]}})
        if not config.get("cluster", config):
            return []
        schema.check(config, {"cluster": {}, "task": {"type": str, "index": int}})
        cluster, task = config["cluster"], config["task"]
        good = cluster.keys() <= {"chief", "worker"} and len(cluster.get("chief", [])) <= 1
        workers = [address for job in sorted(cluster) for address in cluster[job]]
        good = good and all(":" in worker for worker in workers)
        if good and 0 <= task["index"] < len(cluster.get(task["type"], [])):
            return workers
    except ValueError:
        pass
    raise ConfigError(
        'TF_CONFIG: must be JSON such as {"cluster": {"chief": ["host:port"], "worker": '
        '["host:port", …]}, "task": {"type": "worker", "index": 0}}. Without a chief the first '
        "worker is the chief."
    )


def _slurm() -> tf.distribute.cluster_resolver.ClusterResolver:
    kwargs = {}
    if not shutil.which("nvidia-smi"):  # the resolver cannot handle 0 GPUs: claim one per task
        tasks = os.environ["SLURM_STEP_TASKS_PER_NODE"].split(",")  # for example 2(x3),1
        most = max(int(part.partition("(")[0]) for part in tasks)
        kwargs = dict(gpus_per_node=most, gpus_per_task=1, auto_set_gpu=False)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**kwargs)
    resolver.cluster_spec()  # sets task_type and task_id
    return resolver


def _kubernetes() -> tf.distribute.cluster_resolver.ClusterResolver:
    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [os.environ["ALAE_POD_LABEL"]]},
        tf_server_port=KUBERNETES_PORT,
        override_client=_kubernetes_client(),
    )
    deadline, count = time.monotonic() + KUBERNETES_SECONDS, int(os.environ["ALAE_WORKERS"])
    while True:
        try:
            workers = resolver.cluster_spec().job_tasks("worker")
            if len(workers) == count:
                break
            why = f"{len(workers)} pods run, ALAE_WORKERS={count}"
        except RuntimeError as error:  # a pod is not running yet
            why = str(error)
        if time.monotonic() > deadline:
            raise ValueError(why)
        time.sleep(2.0)
    own = f"{os.environ['HOST_IP']}:{KUBERNETES_PORT}"
    if workers.count(own) != 1:
        raise ValueError(f"{own} should be one of the pods' addresses: {', '.join(workers)}")
    resolver.task_type, resolver.task_id = "worker", workers.index(own)
    return resolver


def _kubernetes_client():
    from kubernetes import client, config

    config.load_incluster_config()
    return client.CoreV1Api()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the chief, or the only process."""
    return worker_index(strategy) == 0


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """The index of this process among those that train together."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type == "chief":
        return 0
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    return chiefs + (resolver.task_id or 0)


def workers(strategy: tf.distribute.Strategy) -> int:
    """Number of processes that train together."""
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict() if resolver else {}
    return max(1, sum(len(jobs.get(job, [])) for job in ("chief", "worker")))


def all_gather(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """The `value` of each replica's process, in order; all processes must call this together."""

    @tf.function
    def gather():
        def replica():
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([value], tf.int64), axis=0)

        return strategy.experimental_local_results(strategy.run(replica))[0]

    return gather().numpy().tolist()
