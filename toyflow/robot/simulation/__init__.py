"""Simulators, and the episodes in which a policy is evaluated.

`Environment` is one task in a simulator and `Expert` its scripted policy (`environment.py`). A new simulator
is a folder in `environments` (for a plug-in: any module) with a subclass of `Environment`, declared under the
entry point group `toyflow.environments`. `Trials` names what is evaluated, `evaluate_policy` runs
it and keeps every finished episode, `run_episodes` plays episodes with one policy for all simulators, and
`run_jobs` (`simulators.py`) keeps the worker processes. The room may import `robot.interface`,
`robot.planner`, `robot.handover` and `robot.latency`, and nothing of the rooms data, policy, runtime and
lerobot.
"""
