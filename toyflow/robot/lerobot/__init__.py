"""To and from LeRobot: its policies under our schedules and step counts, and our policies in its files."""
