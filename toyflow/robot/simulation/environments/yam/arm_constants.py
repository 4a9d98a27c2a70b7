"""The YAM arm in numbers: what I2RT's driver commands, and what its model files leave open.

Sources, by the letter that follows a number:

- (d) the driver: github.com/i2rt-robotics/i2rt at 5d47b35, `i2rt/robots/config/yam.yml`,
  `i2rt/robots/config/linear_4310.yml`, `i2rt/robots/get_robot.py` and `i2rt/motor_drivers/utils.py`;
- (x) its model: `i2rt/robot_models/arm/yam/yam.xml`, ranges of the joints;
- (m) github.com/google-deepmind/mujoco_menagerie at 26d7d7e, `i2rt_yam/yam_linear_4310.xml`;
- (g) a guess.
"""

from __future__ import annotations

ARMS = ("left", "right")
ARM_JOINTS = 6

JOINT_LOW = (-2.61799, 0.0, 0.0, -1.69297, -1.5708, -2.0944)
JOINT_HIGH = (3.14159, 3.66519, 3.14159, 1.5708, 1.5708, 2.0944)
"""The joints' ranges in radians (x). The driver clips to them, 0.15 rad wider (d, `get_robot.py`), as the
zero of a real joint is off by that much."""

STIFFNESS = (80.0, 80.0, 80.0, 10.0, 10.0, 10.0)
"""Nm / rad (d: `kp`)."""
DAMPING = (5.0, 5.0, 5.0, 1.5, 1.5, 1.5)
"""Nm s / rad (d: `kd`). The driver commands no velocity, so that a joint lags by DAMPING / STIFFNESS
seconds."""
TORQUE = (28.0, 28.0, 28.0, 10.0, 10.0, 10.0)
"""Nm: motors DM4340 and DM4310 (d: `TORQUE_MAX`)."""
ARMATURE = (0.032, 0.032, 0.032, 0.0018, 0.0018, 0.0018)
"""Inertia of the motors' rotors behind their gears, kg m^2 (m)."""
FRICTION = (0.3, 0.3, 0.3, 0.06, 0.06, 0.06)
"""Coulomb friction of the joints, Nm (d: `coulomb_friction`)."""

GRIPPER_STIFFNESS, GRIPPER_DAMPING, GRIPPER_ARMATURE = 5000.0, 300.0, 0.1
"""N / m and N s / m on both fingers (g), kg of a finger (m). The driver's own gains, 20 Nm / rad over 6.57
rad for 96 mm (d), are 80 times as stiff and would need shorter steps; what bounds the grip is the force, and
what bounds the speed, 0.33 m / s here, is the motor's 30 rad / s or 0.22 m / s (d)."""
GRIPPER_FORCE = 100.0
"""N on both fingers: the driver limits the grip to 50 N (d: `limit_gripper_force`), which is for each pad
(m)."""
SQUEEZE = 0.01
"""Metres that a closed gripper aims beyond closed, so that it grips thin things with half of its force
(g)."""

CAMERA_FOCAL, CAMERA_SENSOR, CAMERA_PIXELS = 1.93e-3, (3.138e-3, 2.356e-3), (640, 480)
"""Focal length and sensor in metres, and pixels of the cameras, RealSense D405 (m): 78 by 63 degrees."""
