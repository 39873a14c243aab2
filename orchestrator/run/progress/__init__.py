"""What a running launch tells whoever watches it, and the displays of a terminal, a notebook and a pipe."""
