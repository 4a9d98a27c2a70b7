"""The policy: what it is made of, how it is trained, kept and opened."""
