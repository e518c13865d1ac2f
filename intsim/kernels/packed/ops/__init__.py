"""The packed ops: one op a file, each a cfunc on the packed bytes of an image."""
