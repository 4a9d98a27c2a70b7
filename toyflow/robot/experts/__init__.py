"""Scripted experts: they see poses that no policy sees, and make demonstrations."""
