"""Exchange with LeRobot: its policies under our schedules and step counts, our policies in its files.

`set_schedule` and `set_steps` (`adapt.py`) change a LeRobot policy in place, and `python -m
toyflow.robot.lerobot.train` is lerobot-train with a schedule of ours. `LeRobotCheckpoint` finds and loads
what LeRobot trained, `LeRobotPlanner` lets it act, from one noise or several (`policy_noise.py`), and
`import_checkpoint` makes it a cell of a results folder. `export_policy` writes our policies so that LeRobot
loads them, in the format of `lerobot_format`. LeRobot itself is imported inside functions only: it is heavy
and optional. The room may import `robot.policy` and what that imports, not runtime.
"""
