"""toyflow: is one denoising step enough? Flow matching for rich conditions, studied with error bars."""

__version__ = "0.1.0"
