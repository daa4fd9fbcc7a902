"""Edges of pictures, as control LoRAs for canny were trained on them. Needs OpenCV, the extra ``control``."""

from __future__ import annotations

import numpy as np

#: Of the usual preprocessors of node graphs, in levels of 255.
_LOW, _HIGH = 100, 200


def canny_edges(picture: np.ndarray) -> np.ndarray:
    """White edges on black, uint8 RGB [height, width, 3]."""
    import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.repeat(cv2.Canny(grey, _LOW, _HIGH)[..., None], 3, axis=2)
