"""Estimates the largest batch for each GPU size and level.

    python -m alae_tf.memory --flagfile=configs/ffhq1024.cfg

The command traces a training iteration for two batch sizes, without XLA, and simulates its graph:
each operation runs as soon as its inputs exist, as in TensorFlow. A tensor takes memory from the
operation that creates it to the last operation that uses it. Reshapes share their input's memory,
and element-wise operations overwrite an input that is no longer used. The peak, plus the weights,
their EMA and the optimizers' state, is the least memory that an iteration needs. --reserve covers
the rest: scratch memory of convolutions, fragmentation and CUDA. No GPU is needed, but the weights
must fit into this machine's memory.
"""

import collections
import dataclasses
import graphlib
import math
import sys
from collections.abc import Iterator, Sequence

from alae_tf.config import Config, flags
from alae_tf.system import quiet
from alae_tf.system.arguments import between, several
from alae_tf.system.environment import command, start

BATCHES = (2, 4)  # traced; memory is linear in the batch
ALIASES = {"Identity", "Reshape", "StopGradient", "ReadVariableOp", "Squeeze", "ExpandDims"}
ALIASES |= {"EnsureShape", "PreventGradient", "IdentityN"}
IN_PLACE = {"Add", "AddV2", "AddN", "Sub", "Mul", "RealDiv", "Square", "Sqrt", "Rsqrt", "Neg"}
IN_PLACE |= {"LeakyRelu", "LeakyReluGrad", "BiasAdd", "Softplus", "SoftplusGrad", "Sigmoid"}
IN_PLACE |= {"SqrtGrad", "RsqrtGrad", "SelectV2", "Select", "Maximum", "Minimum"}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory of an iteration at one level, in bytes: fixed + per_image · images."""

    level: int
    resolution: int
    fixed: float
    per_image: float

    def largest_batch(self, available: float) -> int:
        """The largest power of two that fits; 0 if none does."""
        images = (available - self.fixed) / self.per_image
        return 0 if images < 1 else 2 ** (int(images).bit_length() - 1)


def peak_bytes(graph) -> int:
    """The peak memory of a graph's tensors, in bytes; raises ValueError if a shape is unknown."""
    sorter = graphlib.TopologicalSorter()  # orders operations as TensorFlow's executor does
    for operation in graph.get_operations():
        before = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        sorter.add(operation, *before)
    operations = list(sorter.static_order())
    root = {}  # tensor → the tensor whose memory it uses
    last_use = {}

    def owner(tensor):
        return root.get(tensor.ref(), tensor.ref())

    for place, operation in enumerate(operations):
        for tensor in operation.inputs:
            last_use[owner(tensor)] = place
        for tensor in operation.outputs:
            if operation.type in ALIASES and len(operation.inputs):
                root[tensor.ref()] = owner(operation.inputs[0])
    ends = collections.defaultdict(list)
    for ref, place in last_use.items():
        ends[place].append(ref)
    alive, now, peak = {}, 0, 0
    for place, operation in enumerate(operations):
        freed = [ref for ref in ends[place] if ref in alive]
        for tensor in operation.outputs:
            shared = tensor.ref() in root or tensor.dtype.name in ("resource", "variant")
            if shared or operation.type in ("Placeholder", "Const"):
                continue  # placeholders are variables and the batch
            if not tensor.shape.is_fully_defined():
                raise ValueError(f"{tensor.name}: shape {tensor.shape}")
            size = tensor.shape.num_elements() * tensor.dtype.size
            if operation.type in IN_PLACE:
                same = [ref for ref in freed if alive.get(ref) == size]
                if same:
                    now -= alive.pop(same[0])
            if tensor.ref() in last_use:
                alive[tensor.ref()] = size
            now += size
            peak = max(peak, now)
            if tensor.ref() not in last_use:
                now -= size
        for ref in freed:
            now -= alive.pop(ref, 0)
    return peak


def measure(trainer, level: int) -> Memory:
    """Memory of one iteration of a `Trainer` at `level` on one device."""
    import tensorflow as tf

    config = trainer.config
    peaks = []
    for batch in BATCHES:
        side, batch = config.level_resolution(level), batch * config.accumulate
        pixels = tf.TensorSpec([batch, side, side, config.image_channels], tf.uint8)
        scalar, seed = tf.TensorSpec([], tf.float32), tf.TensorSpec([2], tf.int64)
        step = trainer.traced(level, batch=batch)
        concrete = step.get_concrete_function(pixels, seed, scalar, scalar)
        peaks.append(peak_bytes(concrete.graph))
    variables = [*trainer.alae.variables, *trainer.ema.variables]
    slots = [*trainer.optimizer_ed.slots(), *trainer.optimizer_fg.slots()]
    variables += [variable for _, variable, _ in slots]
    if config.accumulate > 1:  # the accumulated gradients
        variables += trainer.alae.trainable_variables
    weights = 4 * sum(math.prod(variable.shape) for variable in variables)
    slope = (peaks[1] - peaks[0]) / (BATCHES[1] - BATCHES[0])
    fixed = weights + peaks[0] - slope * BATCHES[0]
    return Memory(level, config.level_resolution(level), fixed, slope)


def by_level(config: Config) -> Iterator[Memory]:
    """Memory of an iteration at each level of a config, in the graph that a GPU runs."""
    from alae_tf.training.trainer import Trainer

    trainer = Trainer(config.replace(xla=False), winograd=False)
    return (measure(trainer, level) for level in range(config.levels))


@command("memory")
def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 2 a wrong flag or setting."""
    parser = flags.Parser("alae_tf.memory", __doc__)
    about = "memory sizes of GPUs, in GiB"
    sizes = several(between(0.001, 1e6, float))
    parser.flag("--gpu_gib", about, "X,…", type=sizes, default="8,12,16,24,40,80")
    about = "fraction of a GPU's memory to leave free"
    parser.flag("--reserve", about, "X", type=between(0, 1, float), default=0.2)
    own, config = parser.parse(arguments)
    quiet.import_tensorflow()
    print("| level | px | fixed, MiB | per image, MiB |", *(f"{x:g} GiB |" for x in own.gpu_gib))
    print("|---" * (4 + len(own.gpu_gib)) + "|")
    for need in by_level(config):
        free = [gpu * 2**30 * (1 - own.reserve) for gpu in own.gpu_gib]
        batches = (need.largest_batch(each) * config.accumulate or "—" for each in free)
        used = f"{need.fixed / 2**20:,.3g} | {need.per_image / 2**20:,.3g}"
        start = f"| {need.level} | {need.resolution} | {used} |"
        print(start, *(f"{batch} |" for batch in batches), flush=True)


if __name__ == "__main__":
    sys.exit(start(main))
