"""What the commands do, from Python: run a sweep or a study, probe models, recommend a schedule."""
