"""Tables and figures of a results folder; reads files only."""
