"""The control loop: a policy drives a robot at its rate, and every action passes the gate."""
