"""toyflow's schedules and step counts for other people's policies."""
