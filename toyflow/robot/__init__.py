"""The robot half: the policy, its data, simulators, training and evaluation in closed loop."""
