"""Times training iterations of the authors' PyTorch code on the CPU. Called by against_authors.py.

python docs/measurements/authors_iteration.py ALAE celeba 3 16    # clone, config, level, batch

An iteration is that of their code: three updates with R1, both optimizers and the moving average,
on random images in memory. Prints the median time of an iteration in seconds. Needs torch, numpy
and yacs.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

WARM_UP, LEAST, SECONDS = 2, 3, 8.0


def main(clone: str, name: str, level: str, batch: str) -> None:
    """Builds the model of a config, as `train` in the authors' train_alae.py does, and times it."""
    os.chdir(clone)
    sys.path.insert(0, clone)
    import torch
    from custom_adam import LREQAdam
    from defaults import get_cfg_defaults
    from model import MAPPINGS, Model

    torch.set_num_threads(os.cpu_count() or 1)
    cfg = get_cfg_defaults()
    cfg.merge_from_file(f"configs/{name}.yaml")
    of = cfg.MODEL
    model, average = (
        Model(
            startf=of.START_CHANNEL_COUNT,
            layer_count=of.LAYER_COUNT,
            maxf=of.MAX_CHANNEL_COUNT,
            latent_size=of.LATENT_SPACE_SIZE,
            mapping_layers=of.MAPPING_LAYERS,
            dlatent_avg_beta=of.DLATENT_AVG_BETA,
            style_mixing_prob=of.STYLE_MIXING_PROB,
            channels=of.CHANNELS,
            generator=of.GENERATOR,
            encoder=of.ENCODER,
        )
        for _ in range(2)
    )
    if of.ENCODER == "EncoderFC":  # in this version of their code, E and D of the MLP do not fit
        size = of.LATENT_SPACE_SIZE
        for each in (model, average):
            each.mapping_d = MAPPINGS[of.MAPPING_D](3, size, size, size)
        encode, judge = model.encoder.forward, model.mapping_d
        model.encode = lambda *inputs: (lambda w: (w[:, None], judge(w)))(encode(*inputs))
    settings = {"lr": 0.0015, "betas": (cfg.TRAIN.ADAM_BETA_0, cfg.TRAIN.ADAM_BETA_1)}
    of_g, of_d = (
        LREQAdam([{"params": m.parameters()} for m in moved], **settings)
        for moved in ((model.decoder, model.mapping_f), (model.encoder, model.mapping_d))
    )
    side, lod, count = 4 * 2 ** int(level), int(level), int(batch)
    x = torch.rand(count, of.CHANNELS, side, side) * 2 - 1
    x.requires_grad = True

    def update(moved: list, d_train: bool, ae: bool) -> None:
        for optimizer in moved:
            optimizer.zero_grad()
        model(x, lod, 1.0, d_train=d_train, ae=ae).backward()
        for optimizer in moved:
            optimizer.step()

    def iteration() -> float:
        begun = time.perf_counter()
        update([of_d], True, False)
        update([of_g], False, False)
        update([of_d, of_g], True, True)
        average.lerp(model, 0.5 ** (count / 10_000))
        return time.perf_counter() - begun

    for _ in range(WARM_UP):
        iteration()
    taken: list[float] = []
    while len(taken) < LEAST or sum(taken) < SECONDS:
        taken.append(iteration())
    print(statistics.median(taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
