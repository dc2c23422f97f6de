"""What a model did that reaches outside its folder, in words for the administrator."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def outside(error: OSError) -> str:
    """What the model tried, and the cure. Says nothing of the message: it may quote a name from an image."""
    code = error.errno
    reason = getattr(error, "reason", None)  # urllib wraps what the socket said
    if code is None and isinstance(reason, OSError):
        code = reason.errno
    if code in _FULL:
        return ("it writes files until the disk or its limit is full; a model answers in memory, remove what saves "
                "from its configuration")
    return (f"it asks for a file or a network connection that it does not have ({type(error).__name__}); models run "
            "without network, and all that they read lies in their folder")
