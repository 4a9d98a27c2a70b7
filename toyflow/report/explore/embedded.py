"""Files as text, to be embedded in a page."""

from __future__ import annotations

import base64


def text_of(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


def data_uri(content: bytes, kind: str) -> str:
    """A file of the media type `kind` as an address that holds it.

    >>> data_uri(b"GIF", "image/gif")
    'data:image/gif;base64,R0lG'
    """
    return f"data:{kind};base64,{text_of(content)}"
