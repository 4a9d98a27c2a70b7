"""A twin of LeRobot's driver of two YAM arms, `bi_yam_follower` (main line, commit 087a374), without arms.

It is a plug-in that LeRobot finds, and behaves as the driver does where that matters to whoever drives it:

- names, order and units: joints in radians, grippers 0 (closed) to 1 (open), cameras top, left, right;
- `connect(calibrate=False)` opens a session for calibrating, in which observations and actions are refused;
- `read_only` by default; a target that is incomplete, not finite or beyond the limits is refused;
- joints move no faster than the driver lets them, and lag; a command is never farther from where a joint is
  than `max_tracking_error_rad`;
- without a target for `command_timeout_s` the driver holds the position that it measures, so that arms sag
  slowly;
- `disconnect` takes the torque, and arms that are not folded fall; so does a bus that is lost.

Joints are ideal and of first order; with `--set station=true` they are those of the simulated station, whose
arms fall as far as they fall. What goes wrong is chosen by options, or done to the object. Everything
that happens is noted in `did`, the last thousand of it, and with `trace` in a file too. Time passes only
in calls, by `now`.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lerobot.robots import Robot, RobotConfig

SIDES = ("left", "right")
NAMES = tuple(
    f"{side}_{name}.pos" for side in SIDES for name in (*(f"joint_{k}" for k in range(6)), "gripper")
)
CAMERAS = ("top", "left", "right")
JOINT_LIMITS = (
    (-2.61799, 3.14159),
    (0.0, 3.66519),
    (0.0, 3.14159),
    (-1.69297, 1.5708),
    (-1.5708, 1.5708),
    (-2.0944, 2.0944),
)
"""As the driver states them, from i2rt's yam.xml."""
LOWER, UPPER = np.array([*JOINT_LIMITS, (0.0, 1.0)] * 2).T
LAG = 0.05
"""Time constant of a joint, in seconds."""
SAG = np.array([0, 0.02, 0.02, 0, 0, 0, 0] * 2)
"""What gravity compensation leaves over, in rad/s, while nothing holds the joints."""
FOLDED = 0.2
"""How far from the folded pose, in rad, an arm has nowhere to fall."""


@dataclass
class YamTwinArm:
    """An arm: its bus, and how fast it may move."""

    port: str = "can0"
    max_joint_speed_rad_s: float = 0.3
    max_gripper_speed_s: float = 0.5
    max_tracking_error_rad: float = 0.15


@RobotConfig.register_subclass("bi_yam_follower")
@dataclass
class BiYamTwinConfig(RobotConfig):
    """The driver's options, and what is to go wrong after so many actions or looks; 0 for never."""

    left_arm: YamTwinArm = field(default_factory=lambda: YamTwinArm("can_left"))
    right_arm: YamTwinArm = field(default_factory=lambda: YamTwinArm("can_right"))
    read_only: bool = True
    command_timeout_s: float = 1.0
    calibrated: bool = True
    size: int = 32
    trace: str = ""
    bus_pulled_at: int = 0
    camera_frozen_at: int = 0
    camera_silent_at: int = 0
    signal_at: int = 0
    signal: int = signal.SIGTERM
    station: bool = False


class BiYamTwin(Robot):
    """See the module."""

    config_class, name = BiYamTwinConfig, "bi_yam_follower"

    def __init__(self, config: BiYamTwinConfig, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(config)
        self.config, self.now, self.cameras = config, now, {}
        self.did: deque[tuple[str, list[float]]] = deque(maxlen=1000)  # soaks measure memory
        self.position = np.zeros(14)
        self._connected = self._session = self._torque = False
        self._fault = ""
        self._sent = self._looks = 0
        self.station = OnStation() if config.station else None
        if self.station:
            self.position = self.station.position

    @property
    def action_features(self) -> dict[str, type]:
        return dict.fromkeys(NAMES, float)

    @property
    def observation_features(self) -> dict:
        size = self.config.size
        return {**self.action_features, **dict.fromkeys(CAMERAS, (size, size, 3))}

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def is_calibrated(self) -> bool:
        return self.config.calibrated

    def calibrate(self) -> None:
        input("Place BOTH grippers fully closed, release them, then press Enter: ")

    def configure(self) -> None: ...

    def connect(self, calibrate: bool = True) -> None:
        if self._connected:
            raise RuntimeError("already connected")
        for arm in (self.config.left_arm, self.config.right_arm):
            if arm.port == "nowhere":
                raise OSError(19, "No such device")
        self._connected, self._session = True, not calibrate
        if self._session:
            self._note("session")
            return
        if not self.is_calibrated:
            raise ValueError("Run lerobot-calibrate with the same robot.id and CAN ports")
        self._target, self._command = self.position.copy(), self.position.copy()
        self._at = self._commanded_at = self.now()
        self._torque = not self.config.read_only
        self._note("torque on" if self._torque else "read only")

    def get_observation(self) -> dict:
        self._check("Reconnect after calibration before reading policy observations")
        self._looks += 1
        if 0 < self.config.camera_silent_at <= self._looks:
            raise TimeoutError("Timed out waiting for frame from camera top after 200 ms")
        shade = self.config.camera_frozen_at or self._looks
        frame = np.full((self.config.size, self.config.size, 3), min(self._looks, shade) % 256, np.uint8)
        moving = np.full_like(frame, self._looks % 256)
        pictures = dict(zip(CAMERAS, (frame, moving, moving), strict=True))
        return {**dict(zip(NAMES, self.position.tolist(), strict=True)), **pictures}

    def send_action(self, action: dict) -> dict:
        self._check("Motor commands are forbidden during calibration")
        if self.config.read_only:
            raise RuntimeError("YAM read_only=true forbids motor commands")
        if set(action) != set(NAMES):
            raise ValueError("YAM requires the complete 14 absolute-joint/gripper action")
        target = np.array([action[name] for name in NAMES], float)
        if not (np.isfinite(target).all() and (target >= LOWER).all() and (target <= UPPER).all()):
            raise ValueError(f"YAM joint/gripper target {target.round(4).tolist()} outside its limits")
        self._sent += 1
        self._target, self._commanded_at = target, self.now()
        self._note("sent", target)
        if self._sent == self.config.bus_pulled_at:
            self.pull_bus()
        if self._sent == self.config.signal_at:
            signal.raise_signal(self.config.signal)
        return dict(action)

    def pull_bus(self) -> None:
        """Take the plug of an arm's bus out: the driver stops both arms."""
        self._fault = "YAM servo loop stopped after a motor/feedback error"
        self._let_go("bus pulled")

    def disconnect(self) -> None:
        if not self._connected:
            raise RuntimeError("not connected")
        self._move()
        self._let_go("disconnected")
        self._connected = self._session = False

    def _let_go(self, why: str) -> None:
        self._note(why)
        if self._torque:
            self._torque = False
            away = np.abs(self.position[[*range(6), *range(7, 13)]]).max()
            self._note("fell" if away > FOLDED else "rests")
            if self.station:
                self.dropped = self.station.drop()

    def _check(self, session: str) -> None:
        if not self._connected:
            raise RuntimeError("not connected")
        if self._session:
            raise RuntimeError(session)
        if self._fault:
            raise ConnectionError(self._fault)
        self._move()

    def _move(self) -> None:
        """Let the time pass that has passed."""
        now = self.now()
        if not self._torque:
            self._at = now
            return
        arms = (self.config.left_arm, self.config.right_arm)
        speed = np.concatenate([[arm.max_joint_speed_rad_s] * 6 + [arm.max_gripper_speed_s] for arm in arms])
        near = np.array([each for arm in arms for each in (*[arm.max_tracking_error_rad] * 6, math.inf)])
        if self.station:
            self.position = self.station.moved(self._command, self._target, speed, near, now - self._at)
            self._at = now
            return
        silent = max(0.0, now - max(self._at, self._commanded_at + self.config.command_timeout_s))
        driven = now - self._at - silent
        self._command += np.clip(self._target - self._command, -speed * driven, speed * driven)
        self._command[:] = self.position + np.clip(self._command - self.position, -near, near)
        self.position += (self._command - self.position) * (1 - math.exp(-driven / LAG))
        if silent:
            self.position = np.clip(self.position - SAG * silent, LOWER, UPPER)
            self._target, self._command = self.position.copy(), self.position.copy()
        self._at = now

    def _note(self, what: str, target: np.ndarray | None = None) -> None:
        numbers = (self.position if target is None else target).round(6).tolist()
        self.did.append((what, numbers))
        if self.config.trace:
            with Path(self.config.trace).open("a") as file:
                file.write(json.dumps([what, numbers]) + "\n")


class OnStation:
    """Both arms in the physics of the environment `yam`, with gravity, folded at first."""

    STEP = 0.02

    def __init__(self) -> None:
        from toyflow.robot.simulation.environments.yam import YamState  # needs mujoco

        environment = YamState("hanoi", 0)
        environment.reset(0)
        self.station, self._left_over = environment.station, 0.0
        folded = np.array([0.0] * 6 + [1.0] + [0.0] * 6 + [1.0])
        for share in np.linspace(1, 0, 100):  # from where the station has them
            self.station.step(folded + share * (np.array(self.station.state) - folded))
        for _ in range(50):
            self.station.step(folded)

    @property
    def position(self) -> np.ndarray:
        return np.array(self.station.state, float)

    def moved(
        self, command: np.ndarray, target: np.ndarray, speed: np.ndarray, near: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Where the arms are after so many seconds; `command` follows the target within the speed, and stays
        `near` to where they are."""
        self._left_over += seconds
        while self._left_over >= self.STEP:
            self._left_over -= self.STEP
            command += np.clip(target - command, -speed * self.STEP, speed * self.STEP)
            command[:] = self.position + np.clip(command - self.position, -near, near)
            self.station.step(command)
        return self.position

    def drop(self) -> float:
        """Take the torque from all motors for a second. How far the hands fall, in metres."""
        before = [self.station.tip(side)[2] for side in SIDES]
        model = self.station.model
        model.actuator_gainprm[:] = model.actuator_biasprm[:] = 0
        model.body_gravcomp[:] = 0
        for _ in range(50):
            self.station.step(self.position)
        return float(max(np.subtract(before, [self.station.tip(side)[2] for side in SIDES])))
