"""What is wrong with somebody's gradient: the catalogue of mistakes, and which of them reproduces it."""
