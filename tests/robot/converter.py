"""LeRobot's command that converts a data set of format v2.1, as each version takes it."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version


def convert_command(folder: Path) -> str:
    """Of the version that is installed. `--root` is the folder that the data set lies in for 0.4, and the
    data set's own for 0.6."""
    if Version(version("lerobot")) < Version("0.6"):
        module, root = "lerobot.datasets.v30.convert_dataset_v21_to_v30", folder.parent
    else:
        module, root = "lerobot.scripts.convert_dataset_v21_to_v30", folder
    assert find_spec(module) is not None
    return f"python -m {module} --repo-id={folder.name} --root={root} --push-to-hub=false"
