"""The authors' PyTorch code on the CPU: its speed, and a training of a given time.

python docs/measurements/authors.py time ALAE celeba 3 16    # clone, config, level, batch
python docs/measurements/authors.py train ALAE mnist images.npy weights 60 10 [SETTING VALUE …]

Called by against_authors.py and quality_per_hour.py, with a Python that has torch, numpy and yacs;
nothing else in this project needs them. ALAE is a clone of podgorskiy/ALAE. `time` prints the
median seconds of an iteration on random images in memory. `train` takes images (uint8
[N, C, H, W]), a folder to write, the minutes to train, and the minutes between two files; it writes
NUMBER.npz with the averaged weights, and NUMBER.json. The model, the three updates with R1, both
optimizers, the moving average, and the schedules of levels and learning rates are the authors';
reading images is not.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BEGUN = time.perf_counter()
WARM_UP, LEAST, SECONDS = 2, 3, 8.0
NETWORKS = {"F": "mapping_f", "G": "decoder", "E": "encoder", "D": "mapping_d"}


class Authors:
    """The networks and optimizers of a config, built as in the authors' train_alae.py.

    Args:
        clone: folder of a clone of podgorskiy/ALAE.
        name: name of a config in it.
        settings: changes of the config: names and values, in turn.
    """

    def __init__(self, clone: str, name: str, *settings: str):
        os.chdir(clone)
        sys.path.insert(0, clone)
        import torch
        from custom_adam import LREQAdam
        from defaults import get_cfg_defaults
        from model import MAPPINGS, Model
        from yacs.config import CfgNode

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.cfg = cfg = get_cfg_defaults()
        # Sizes such as "202576 - 182637" are refused by today's yacs, and not needed.
        found = CfgNode.load_cfg(Path("configs", f"{name}.yaml").read_text())
        cfg.merge_from_other_cfg(CfgNode({part: found[part] for part in ("MODEL", "TRAIN")}))
        cfg.DATASET.FLIP_IMAGES = found.DATASET.get("FLIP_IMAGES", cfg.DATASET.FLIP_IMAGES)
        cfg.merge_from_list(list(settings))
        of = cfg.MODEL
        self.model, self.average = model, average = [
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
        ]
        # In this version of their code, E and D of the MLP do not fit together.
        if of.ENCODER == "EncoderFC":
            size = of.LATENT_SPACE_SIZE
            for each in (model, average):
                each.mapping_d = MAPPINGS[of.MAPPING_D](3, size, size, size)
            encode, judge = model.encoder.forward, model.mapping_d
            model.encode = lambda *inputs: (lambda w: (w[:, None], judge(w)))(encode(*inputs))
        average.load_state_dict(model.state_dict())
        rate, betas = cfg.TRAIN.BASE_LEARNING_RATE, (cfg.TRAIN.ADAM_BETA_0, cfg.TRAIN.ADAM_BETA_1)
        self.of_g, self.of_d = (
            LREQAdam([{"params": m.parameters()} for m in moved], lr=rate, betas=betas)
            for moved in ((model.decoder, model.mapping_f), (model.encoder, model.mapping_d))
        )

    def iteration(self, x: Any, level: int, blend: float) -> None:
        """The three updates on real images [N, C, H, W], and the moving average."""
        x.requires_grad = True
        for moved, d_train, ae in (
            ([self.of_d], True, False),
            ([self.of_g], False, False),
            ([self.of_d, self.of_g], True, True),
        ):
            for optimizer in moved:
                optimizer.zero_grad()
            self.model(x, level, blend, d_train=d_train, ae=ae).backward()
            for optimizer in moved:
                optimizer.step()
        self.average.lerp(self.model, 0.5 ** (len(x) / 10_000))


def speed(clone: str, name: str, level: str, batch: str) -> None:
    """Prints the median seconds of an iteration."""
    authors = Authors(clone, name)
    import torch

    side = 4 * 2 ** int(level)
    x = torch.rand(int(batch), authors.cfg.MODEL.CHANNELS, side, side) * 2 - 1

    def seconds() -> float:
        begun = time.perf_counter()
        authors.iteration(x, int(level), 1.0)
        return time.perf_counter() - begun

    for _ in range(WARM_UP):
        seconds()
    taken: list[float] = []
    while len(taken) < LEAST or sum(taken) < SECONDS:
        taken.append(seconds())
    print(statistics.median(taken))


def train(
    clone: str, name: str, images: str, out: str, minutes: str, every: str, *settings: str
) -> None:
    """Trains as `train` in the authors' train_alae.py does."""
    import numpy as np

    pixels, folder = np.load(images), Path(out).resolve()
    folder.mkdir()
    authors = Authors(clone, name, *settings)
    import torch
    from lod_driver import LODDriver
    from scheduler import ComboMultiStepLR
    from torch.nn import functional

    cfg = authors.cfg
    scheduler = ComboMultiStepLR(
        optimizers={"encoder": authors.of_d, "decoder": authors.of_g},
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
            driver.set_epoch(epoch, [authors.of_d, authors.of_g])
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

    for x in batches():
        authors.iteration(x, driver.lod, driver.get_blend_factor())
        seen += len(x)
        passed = (time.perf_counter() - BEGUN) / 60
        if passed >= float(every) * (written + 1):
            written += 1
            arrays = {"w_avg/buff": authors.model.dlatent_avg.buff.numpy()}
            for letter, network in NETWORKS.items():
                for key, tensor in getattr(authors.average, network).state_dict().items():
                    arrays[f"{letter}/{key}"] = tensor.numpy()
            np.savez(folder / f"{written}.npz", **arrays)
            about = {"level": driver.lod, "blend": driver.get_blend_factor()}
            about |= {"images_seen": seen, "minutes": passed}
            (folder / f"{written}.json").write_text(json.dumps(about))
        if passed >= float(minutes):
            return


if __name__ == "__main__":
    {"time": speed, "train": train}[sys.argv[1]](*sys.argv[2:])
