"""A policy that moves a robot: the control loop, the robots, and the policy server."""
