"""How each target turns float scales into integers, in its own order of operations; one target a file."""
