"""A robot without hardware as a plug-in that LeRobot's commands find."""

from pathlib import Path

SOURCE = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.robots import Robot, RobotConfig


@RobotConfig.register_subclass("paper")
@dataclass
class PaperConfig(RobotConfig):
    wrote: str = "sent.txt"


class Paper(Robot):
    """Two cameras, four joints that are felt and two that move; writes what it is sent."""

    config_class, name = PaperConfig, "paper"

    def __init__(self, config):
        super().__init__(config)
        self.config, self.cameras, self.is_on = config, {}, False

    joints = {f"joint{n}.pos": float for n in range(4)}
    observation_features = {**joints, "front": (64, 64, 3), "wrist": (64, 64, 3)}
    action_features = {"joint0.pos": float, "joint1.pos": float}
    is_calibrated = True

    @property
    def is_connected(self):
        return self.is_on

    def connect(self, calibrate=True):
        self.is_on = True

    def calibrate(self): ...

    def configure(self): ...

    def get_observation(self):
        image = np.full((64, 64, 3), 90, np.uint8)
        return {**dict.fromkeys(self.joints, 0.5), "front": image, "wrist": image}

    def send_action(self, action):
        with Path(self.config.wrote).open("a") as file:
            print(*(action[name] for name in self.action_features), file=file)
        return action

    def disconnect(self):
        self.is_on = False
'''


def install(folder: Path) -> Path:
    """Put the plug-in, whose robot is of type `paper`, where Python finds it with `folder` on its path."""
    package, info = folder / "lerobot_robot_paper", folder / "lerobot_robot_paper-1.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lerobot_robot_paper\nVersion: 1\n")
    return folder
