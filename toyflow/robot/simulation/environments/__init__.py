"""The simulators that come with toyflow: one folder each, its scripted expert included."""
