"""URLs of storage beyond this machine's disks, such as s3://bucket/folder."""

import os
import re

from alae_tf.system.errors import AlaeError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# `Path` joins the two slashes of a URL. A drive of Windows has one letter.
COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_url(text: object) -> bool:
    """Whether a value names storage by a URL, and not a path of this machine."""
    return isinstance(text, str) and bool(URL.match(text))


def refuse_url(flag: str, path: str | os.PathLike) -> None:
    """Raises AlaeError if a flag that takes only paths of this machine has a URL."""
    if COLLAPSED.match(str(path)) and not os.path.lexists(path):
        how = "takes a path on this machine, not a URL; write to a path and copy the file"
        raise AlaeError(f"{flag}={path}: {how}.")
