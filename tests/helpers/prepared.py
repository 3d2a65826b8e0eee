"""What `prepare` wrote."""


def contents(out):
    """All files but the lock and what a kill leaves of files not yet begun, which are all empty."""
    empty = [path for path in out.rglob(".alae-*.partial") if not path.stat().st_size]
    left = {*out.rglob("lock"), *empty}
    files = [path for path in out.rglob("*") if path.is_file() and path not in left]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
