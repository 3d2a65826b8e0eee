"""Over which devices and machines a run is spread, and what its workers must agree on.

The workers of a multi-worker run are the same command on every machine. Which machines there are
and which of them this process is, is read from the environment:

- TF_CONFIG, unless it is empty or {}: TensorFlow's JSON of {"cluster": {"worker": [addresses]},
  "task": …}, with a "chief" beside the workers or without;
- else Slurm's variables, in a job step started by `srun`;
- else Kubernetes' interface, for the pods of one Job on the network of their hosts: ALAE_POD_LABEL
  selects them (as job-name=alae), ALAE_WORKERS is their number, which is waited for, HOST_IP the
  address of this pod's node.
"""

from __future__ import annotations

import json
import os
import shutil
import time

import tensorflow as tf

from alae_tf.config import Config, ConfigError

KUBERNETES_PORT = 8470
KUBERNETES_SECONDS = 600.0  # to wait until all pods run


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """The strategy that `config.strategy` names; to be made before any other use of TensorFlow.
    Also allows or forbids TensorFloat-32, as `config.tf32` says.

    Raises:
        ConfigError: the environment describes no cluster, or the batches cannot be divided.
    """
    tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
    if os.environ.get("TF_CONFIG") == "":
        del os.environ["TF_CONFIG"]  # which MirroredStrategy would parse
    kind = config.strategy
    if kind == "auto":
        several = len(_tf_config()) > 1
        kind = "multi_worker" if several else "mirrored"
    if kind == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolve_cluster())
    else:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name for device in devices]
        strategy = (
            tf.distribute.OneDeviceStrategy(names[0])
            if kind == "one_device"
            else tf.distribute.MirroredStrategy(names)
        )
    check_batches(config, strategy.num_replicas_in_sync)
    return strategy


def check_batches(config: Config, replicas: int) -> None:
    """Every level's batch must be divisible among the replicas and --accumulate parts.

    Raises:
        ConfigError: one is not.
    """
    parts = replicas * config.accumulate
    for batch in config.batch_by_level:
        if batch % parts:
            accumulate = f" times --accumulate={config.accumulate}" if config.accumulate > 1 else ""
            raise ConfigError(
                f"--batch_by_level={','.join(map(str, config.batch_by_level))}: {batch} cannot be "
                f"divided among {replicas} devices{accumulate}; use multiples of {parts}."
            )


def resolve_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The cluster that the environment describes, this process' place in it set.

    Raises:
        ConfigError: it describes none, or describes it wrongly.
    """
    if _tf_config():
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    try:
        if "SLURM_PROCID" in os.environ:
            return _slurm()
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            return _kubernetes(_kubernetes_client())
    except (ImportError, RuntimeError, KeyError, ValueError) as error:
        raise ConfigError(f"--strategy=multi_worker: the cluster is not clear ({error}).") from None
    raise ConfigError(
        "--strategy=multi_worker: no cluster found; set TF_CONFIG, or start by Slurm's srun or as "
        "a Kubernetes Job (docs/clusters.md)."
    )


def _tf_config() -> list[str]:
    """The addresses of the processes in TF_CONFIG, the chief's first; none if it is not set or {}.

    Raises:
        ConfigError: it names other jobs than workers and one chief, or not this process.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        if config == {} or config["cluster"] == {}:
            return []
        cluster, task = config["cluster"], config["task"]
        good = cluster.keys() <= {"chief", "worker"} and len(cluster.get("chief", [])) <= 1
        good = good and all(isinstance(job, list) for job in cluster.values())
        workers = [address for job in sorted(cluster) for address in cluster[job]]
        own = len(cluster[task["type"]])
        if good and all(":" in worker for worker in workers) and 0 <= task["index"] < own:
            return workers
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise ConfigError(
        'TF_CONFIG: must be JSON as {"cluster": {"chief": ["host:port"], "worker": ["host:port", '
        '…]}, "task": {"type": "worker", "index": 0}}: workers, and a chief or none, in which '
        "case the first worker is the chief."
    )


def _slurm() -> tf.distribute.cluster_resolver.ClusterResolver:
    kwargs = {}
    if not shutil.which("nvidia-smi"):  # the resolver cannot count to zero: one "GPU" a task
        tasks = os.environ["SLURM_STEP_TASKS_PER_NODE"].split(",")  # as 2(x3),1
        most = max(int(part.partition("(")[0]) for part in tasks)
        kwargs = dict(gpus_per_node=most, gpus_per_task=1, auto_set_gpu=False)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**kwargs)
    resolver.cluster_spec()  # finds out which task this is
    return resolver


def _kubernetes(client) -> tf.distribute.cluster_resolver.ClusterResolver:
    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [os.environ["ALAE_POD_LABEL"]]},
        tf_server_port=KUBERNETES_PORT,
        override_client=client,
    )
    deadline, count = time.monotonic() + KUBERNETES_SECONDS, int(os.environ["ALAE_WORKERS"])
    while True:
        try:
            workers = resolver.cluster_spec().job_tasks("worker")
            if len(workers) == count:
                break
            why = f"{len(workers)} pods run, ALAE_WORKERS={count}"
        except RuntimeError as error:  # a pod does not run yet
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
    """Whether this process writes the run's files: the first worker, or the only one."""
    return worker_index(strategy) == 0


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """Which of the processes that train together this one is."""
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
    """What each replica's process gave as `value`, in order; all must call this together."""

    @tf.function
    def gather():
        def replica():
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([value], tf.int64), axis=0)

        return strategy.experimental_local_results(strategy.run(replica))[0]

    return gather().numpy().tolist()
