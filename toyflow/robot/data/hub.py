"""Published models from Hugging Face's hub: from its local cache, else over the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from toyflow.errors import UsageError, first_line

Loaded = TypeVar("Loaded")
PALIGEMMA = "google/paligemma-3b-pt-224"
SIGLIP = "google/siglip-so400m-patch14-224"


def from_hub(load: Callable[..., Loaded], repo: str, what: str, instead: str, **options: Any) -> Loaded:
    """`load(repo, **options)`, from the local cache if possible.

    Before it downloads it asks the hub once: without a network, from_pretrained would retry for most of a
    minute.

    Args:
        load: a from_pretrained.
        repo: a repository on the hub, or a local folder.
        what: what is loaded, for the message.
        instead: what the user can do instead, for the message, such as `leave it out`.

    Raises:
        UsageError: it is neither in the cache nor on the hub, or the user has no access to it.
    """
    from huggingface_hub import HfApi  # optional

    try:
        try:
            return load(repo, local_files_only=True, **options)
        except OSError:
            if Path(repo).is_dir():
                raise
            HfApi().model_info(repo, timeout=10)
            return load(repo, **options)
    except Exception as error:
        problem = f"{what} of {repo} cannot be loaded ({why_not(error)})."
        if _is_refused(error):
            login = (
                f"Log in with `hf auth login`, and accept the licence on huggingface.co/{repo}, if it has one"
            )
            raise UsageError(f"{problem} {login}; or {instead}.") from error
        if _is_unreachable(error):
            raise UsageError(f"{problem} Try again later, or {instead}.") from error
        raise UsageError(f"{problem} {instead[0].upper()}{instead[1:]}.") from error


def snapshot(repo: str, what: str) -> Path:
    """The local folder of a model repository on the hub, downloaded if necessary. Raises UsageError."""
    from huggingface_hub import snapshot_download  # optional

    return Path(from_hub(snapshot_download, repo, what, "name a folder that holds it"))


def check_transformers(what: str) -> None:
    """Raise UsageError, which says that `what` needs it, unless transformers is installed."""
    try:
        import transformers  # heavy and optional  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise UsageError(f"{what} needs transformers: pip install 'toyflow[robot]'.") from error


def _is_refused(error: BaseException | None) -> bool:
    """Whether the hub refused access: the repository is gated or private, or does not exist."""
    while error is not None:
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            return True
        if type(error).__name__ == "GatedRepoError":
            return True
        error = error.__cause__ or error.__context__
    return False


def why_not(error: Exception) -> str:
    """Why a download from the hub failed, in a few words."""
    return "the hub does not answer" if _is_unreachable(error) else first_line(error).rstrip(". ")


def _is_unreachable(error: Exception) -> bool:
    name = type(error).__name__
    return "Connection" in name or "Timeout" in name
