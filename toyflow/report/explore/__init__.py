"""`toyflow explore`: one page on which results can be played with."""
