"""Demonstrations: read as action chunks, normalised, augmented; and made by a scripted expert."""
