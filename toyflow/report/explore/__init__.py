"""`toyflow explore`: one interactive page of results."""
