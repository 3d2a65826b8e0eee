"""Drawn faces, the same on every machine: integer arithmetic, no random numbers."""

import numpy as np


def drawn_faces(count: int = 10, side: int = 150) -> np.ndarray:
    """Faces of different shapes and colours: uint8 [count, side, side, 3]."""
    return np.stack([drawn_face(i, side) for i in range(count)])


def drawn_face(number: int, side: int = 150) -> np.ndarray:
    """An oval with hair, eyes, a nose and a mouth on a shaded background: uint8 [side, side, 3]."""
    y, x = np.mgrid[:side, :side] * 300 // side - 150  # −150 to 149 whatever the side

    def pick(of: int, low: int, high: int) -> int:
        return low + (number * of + of // 3) % 97 * (high - low) // 96

    def oval(cx: int, cy: int, rx: int, ry: int) -> np.ndarray:
        return ((x - cx) * ry) ** 2 + ((y - cy) * rx) ** 2 < (rx * ry) ** 2

    turn, eye, mouth = pick(31, -20, 20), pick(41, 28, 42), pick(59, 45, 70)
    wide, tall = pick(29, 70, 100), pick(37, 95, 125)
    skin = np.array([pick(17, 120, 240), pick(17, 80, 200), pick(17, 60, 180)])
    hair = np.array([pick(71, 20, 200), pick(71, 15, 160), pick(73, 10, 90)])
    shade = (x * pick(11, 5, 30) + y * pick(13, 5, 30)) // 100
    image = np.broadcast_to(np.array([pick(61, 30, 200), pick(67, 30, 200), 120]), (*x.shape, 3))
    for where, colour in (
        (oval(turn // 2, -25, wide + 18, tall + 5), hair),
        (oval(turn // 2, 10, wide, tall), skin),
        (oval(turn - eye, -15, 17, 9) | oval(turn + eye, -15, 17, 9), np.array([235, 235, 230])),
        (oval(turn - eye, -15, 8, 8) | oval(turn + eye, -15, 8, 8), hair // 2),
        (oval(turn - eye, -36, 22, 5) | oval(turn + eye, -36, 22, 5), hair * 2 // 3),
        (oval(turn, 20, 9, pick(43, 15, 28)), skin * 4 // 5),
        (oval(turn, mouth, pick(47, 22, 45), pick(53, 6, 15)), np.array([170, 60, 70])),
    ):
        image = np.where(where[..., None], colour, image)
    return np.clip(image + shade[..., None], 0, 255).astype(np.uint8)
