"""From a results folder to tables and figures; reads files only."""
