"""Every operation of the step and of inference has a GPU kernel at its types.

No GPU is at hand: TensorFlow's registry of kernels is asked, which lists CUDA's on every machine.
"""

import sys

import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels  # the registry has no public name

from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.training.trainer import Trainer

# What the runtime itself does on every device, without a kernel of its own.
OF_THE_RUNTIME = {"Placeholder", "Const", "NoOp", "_Arg", "_Retval"}
ON_GPUS = {"GPU", "DEFAULT"}  # DEFAULT: registered for every device, as those that move no data


def nodes(concrete):
    """The operations of a traced function and of all functions that it calls."""
    definition = concrete.graph.as_graph_def(add_shapes=False)
    yield from definition.node
    functions = definition.library
    for function in functions.function:
        yield from function.node_def


def fits(kernel, node):
    return kernel.device_type in ON_GPUS and all(
        node.attr[constraint.name].type in constraint.allowed_values.list.type
        or set(node.attr[constraint.name].list.type) & set(constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )


def without_gpu_kernel(concrete):
    missing = set()
    for node in nodes(concrete):
        if node.op in OF_THE_RUNTIME:
            continue
        try:
            registered = kernels.get_registered_kernels_for_op(node.op).kernel
        except tf.errors.NotFoundError:
            registered = []
        if not registered:  # a call of a function, which is walked itself
            continue
        if not any(fits(kernel, node) for kernel in registered):
            types = {name: value.type for name, value in node.attr.items() if value.type}
            missing.add((node.op, tuple(sorted(types.items()))))
    return missing


needs_cuda = pytest.mark.skipif(
    not any(k.device_type == "GPU" for k in kernels.get_registered_kernels_for_op("MatMul").kernel),
    reason=f"this build of TensorFlow ({sys.platform}) lists no CUDA kernels",
)


VARIANT = dict(discriminator="separate", encoder_head="dense", latent_regression="z")


@pytest.mark.slow
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("variant", [{}, VARIANT])
def test_the_step_runs_on_gpus(small, precision, variant):
    trainer = Trainer(small.replace(precision=precision, **variant))
    pixels = tf.TensorSpec([8, 8, 8, 1], tf.uint8)
    seed, scalar = tf.TensorSpec([2], tf.int64), tf.TensorSpec([], tf.float32)
    concrete = trainer.traced(1).get_concrete_function(pixels, seed, scalar, scalar)
    assert len(list(nodes(concrete))) > 500
    assert without_gpu_kernel(concrete) == set()


@needs_cuda
@pytest.mark.parametrize("discriminator", ["joint", "separate"])
def test_the_step_of_an_mlp_runs_on_gpus(small_mlp, discriminator):
    trainer = Trainer(small_mlp.replace(discriminator=discriminator))
    pixels = tf.TensorSpec([8, 6, 6, 1], tf.uint8)
    seed, scalar = tf.TensorSpec([2], tf.int64), tf.TensorSpec([], tf.float32)
    concrete = trainer.traced(0).get_concrete_function(pixels, seed, scalar, scalar)
    assert without_gpu_kernel(concrete) == set()


@needs_cuda
def test_inference_runs_on_gpus(small):
    graphs = pytest.importorskip("export.graphs").Graphs(Autoencoder(small, build_alae(small)))
    on_hosts = {
        "encode_bytes",
        "encode_styles_bytes",
    }  # image files are decoded by the CPU everywhere
    for name, (function, inputs) in graphs.signatures().items():
        if name not in on_hosts:
            concrete = tf.function(function).get_concrete_function(*inputs)
            assert without_gpu_kernel(concrete) == set(), name


@needs_cuda
def test_a_missing_kernel_is_found():
    strings = tf.function(lambda x: tf.strings.length(x))
    concrete = strings.get_concrete_function(tf.TensorSpec([1], tf.string))
    assert {op for op, _ in without_gpu_kernel(concrete)} == {"StringLength"}
