"""Trains with the authors' PyTorch code on the CPU for a given time; for quality_per_hour.py.

python docs/measurements/authors_training.py ALAE mnist images.npy weights 60 10 [SETTING VALUE …]

The arguments are a clone of podgorskiy/ALAE, one of its configs, images (uint8 [N, C, H, W]), a
folder to write, the minutes to train, and those between two files. The model, the three updates,
both optimizers, the moving average and the schedules of levels and learning rates are the authors';
only reading images differs. Writes NUMBER.npz with the averaged weights, and NUMBER.json. Needs
torch, numpy and yacs.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BEGUN = time.perf_counter()
NETWORKS = {"F": "mapping_f", "G": "decoder", "E": "encoder", "D": "mapping_d"}


def main(
    clone: str, name: str, images: str, out: str, minutes: str, every: str, *settings: str
) -> None:
    """Trains as `train` in the authors' train_alae.py does."""
    import numpy as np

    pixels, folder = np.load(images), Path(out).resolve()
    folder.mkdir()
    os.chdir(clone)
    sys.path.insert(0, clone)
    import torch
    from custom_adam import LREQAdam
    from defaults import get_cfg_defaults
    from lod_driver import LODDriver
    from model import Model
    from scheduler import ComboMultiStepLR
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    cfg = get_cfg_defaults()
    cfg.merge_from_file(f"configs/{name}.yaml")
    cfg.merge_from_list(list(settings))
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
    average.load_state_dict(model.state_dict())
    betas = (cfg.TRAIN.ADAM_BETA_0, cfg.TRAIN.ADAM_BETA_1)
    of_g, of_d = (
        LREQAdam(
            [{"params": m.parameters()} for m in moved],
            lr=cfg.TRAIN.BASE_LEARNING_RATE,
            betas=betas,
        )
        for moved in ((model.decoder, model.mapping_f), (model.encoder, model.mapping_d))
    )
    scheduler = ComboMultiStepLR(
        optimizers={"encoder": of_d, "decoder": of_g},
        milestones=cfg.TRAIN.LEARNING_DECAY_STEPS,
        gamma=cfg.TRAIN.LEARNING_DECAY_RATE,
        reference_batch_size=32,
        base_lr=cfg.TRAIN.LEARNING_RATES,
    )
    driver = LODDriver(cfg, logging.getLogger(), 1, len(pixels))
    seen, written = 0, 0

    def batches() -> Iterator[torch.Tensor]:
        """The real images of the epochs."""
        side, epoch = pixels.shape[-1], 0
        while True:
            driver.set_epoch(epoch, [of_d, of_g])
            count = driver.get_per_GPU_batch_size()
            scheduler.set_batch_size(count, driver.lod)
            factor = side // 2 ** driver.get_lod_power2()
            order = np.random.permutation(len(pixels))
            for start in range(0, len(order) - count + 1, count):
                x = torch.from_numpy(pixels[order[start : start + count]]).float()
                if cfg.DATASET.FLIP_IMAGES:
                    flips = torch.rand(count, 1, 1, 1) < 0.5
                    x = torch.where(flips, x.flip(3), x)
                x = functional.avg_pool2d(x, factor) / 127.5 - 1
                if driver.in_transition:
                    coarse = functional.interpolate(functional.avg_pool2d(x, 2), x.shape[-1])
                    x = torch.lerp(coarse, x, driver.get_blend_factor())
                yield x
                driver.step()
            scheduler.step()
            epoch += 1

    def update(x: torch.Tensor, moved: list, d_train: bool, ae: bool) -> None:
        for optimizer in moved:
            optimizer.zero_grad()
        model(x, driver.lod, driver.get_blend_factor(), d_train=d_train, ae=ae).backward()
        for optimizer in moved:
            optimizer.step()

    for x in batches():
        x.requires_grad = True
        update(x, [of_d], True, False)
        update(x, [of_g], False, False)
        update(x, [of_d, of_g], True, True)
        average.lerp(model, 0.5 ** (len(x) / 10_000))
        seen += len(x)
        passed = (time.perf_counter() - BEGUN) / 60
        if passed >= float(every) * (written + 1):
            written += 1
            arrays = {"w_avg/buff": model.dlatent_avg.buff.numpy()}
            for letter, network in NETWORKS.items():
                for key, tensor in getattr(average, network).state_dict().items():
                    arrays[f"{letter}/{key}"] = tensor.numpy()
            np.savez(folder / f"{written}.npz", **arrays)
            about = {"level": driver.lod, "blend": driver.get_blend_factor()}
            about |= {"images_seen": seen, "minutes": passed}
            (folder / f"{written}.json").write_text(json.dumps(about))
        if passed >= float(minutes):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
