"""Do people's demonstrations of robosuite's TwoArmHandover replay? The actions of its seven episodes, which
people gave by telephone in 2021, are carried out again in the installed robosuite, each with the size and
friction of the hammer that was recorded. Its mass was not, so that robosuite draws it; --seed is of that.

    pip download robosuite==1.4.1 --no-deps        # 194 MB; pip install h5py
    unzip robosuite-1.4.1-py3-none-any.whl 'robosuite/models/assets/demonstrations/handover/*'
    python benchmarks/human_handover.py robosuite/models/assets/demonstrations/handover/panda_panda/demo.hdf5

An episode replays where its last step is a success, as `TwoArmHandover` says. The recorded models do not load
in robosuite 1.4 (its robots' geometries have other names since), so that robot and table are today's.
"""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Replay every episode of a file, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="demo.hdf5 of TwoArmHandover")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    h5py: Any = import_module("h5py")  # optional, as robosuite is
    import robosuite  # optional  # pyright: ignore[reportMissingImports]

    replayed = 0
    with h5py.File(options.file) as content:
        about = json.loads(content["data"].attrs["env_args"])
        episodes = list(content["data"])
        for name in episodes:
            episode = content["data"][name]
            _use_hammer(episode.attrs["model_file"])
            np.random.seed(options.seed)
            environment = robosuite.make(about["env_name"], **about["env_kwargs"])
            environment.reset()
            states = episode["states"][()]
            environment.sim.set_state_from_flattened(states[0])
            environment.sim.forward()
            success = []
            for action in episode["actions"][()]:
                environment.step(action)
                success.append(bool(environment._check_success()))
            away = np.abs(environment.sim.get_state().flatten()[1:] - states[-1][1:]).max()
            replayed += success[-1]
            print(
                f"{name}: {len(success)} steps, success at {sum(success)} of them and "
                f"{'also' if success[-1] else 'not'} at the last; the state ends {away:.2f} off",
                flush=True,
            )
            environment.close()
    print(f"{replayed} of {len(episodes)} episodes replay")


def _use_hammer(model: str) -> None:
    """Have TwoArmHandover make the hammer of a recorded model, and not one of random size."""
    from robosuite.environments.manipulation import (  # pyright: ignore[reportMissingImports]
        two_arm_handover,
    )
    from robosuite.models.objects import HammerObject  # pyright: ignore[reportMissingImports]

    geoms = {geom.get("name"): geom for geom in ET.fromstring(model).iter("geom")}
    radius, _, half_length = (float(size) for size in geoms["hammer_handle"].attrib["size"].split())
    friction = float(geoms["hammer_handle"].attrib["friction"].split()[0])
    head = float(geoms["hammer_head"].attrib["size"].split()[1])

    class RecordedHammer(HammerObject):
        def __init__(self, name: str, **sizes: Any) -> None:
            super().__init__(
                name, handle_radius=radius, handle_length=2 * half_length, handle_friction=friction
            )

        def _get_geom_attrs(self) -> dict[str, Any]:
            self.head_halfsize = head
            return super()._get_geom_attrs()

    two_arm_handover.HammerObject = RecordedHammer


if __name__ == "__main__":
    main()
