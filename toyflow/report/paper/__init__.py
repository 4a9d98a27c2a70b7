"""What the paper Let It Be Simple (arXiv 2606.05737) claims and reports, and how results bear on it."""
