"""Compares the squares that the page finds in photographs with those of `alae align`.

    make demo
    python -m tests.export.page.measure_faces demo photos/

Prints how far the square of the largest face is from that of align --crop=lfw, and the processor's
time in a headless Chromium from the photograph to the first squares. Photographs in which only one
of the two finds a face are listed, and not compared.
"""

import sys
import threading
from pathlib import Path

import numpy as np

from alae_tf.images import files
from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import FaceFinder
from export import demo
from tests.export.page.browser import differences, faces_of, open_browser, status, wait


def main(folder: str, *photos: str) -> None:
    server = demo.bind(Path(folder), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    find, driver = FaceFinder(), open_browser()
    rows, seconds = [], []
    try:
        driver.get(f"http://127.0.0.1:{server.server_port}/")
        wait(driver, lambda: status(driver) == "")
        faces_of(driver, np.zeros([250, 250, 3], np.uint8), "lfw", "faces64")  # loads the networks
        for file in files.find(list(photos)):
            photo = files.open_file(file, 3)
            faces = find(photo)
            found, took = faces_of(driver, photo, "lfw", "faces64")
            seconds.append(took)
            if not faces or not found:
                print(f"{file}: align finds {len(faces)} faces, the page {len(found)}")
                continue
            rows.append(differences(found[0], CROPS["lfw"].quad(faces[0].points)))
    finally:
        driver.quit()
        server.shutdown()
    print(f"{len(rows)} photographs         mean   worst")
    for name, values in zip(("centre", "side", "corners"), np.transpose(rows), strict=True):
        print(f"{name:8} % of the side  {100 * values.mean():5.2f}  {100 * values.max():5.2f}")
    print(f"time    ms              {1000 * np.mean(seconds):5.0f}  {1000 * np.max(seconds):5.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
