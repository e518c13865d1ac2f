"""The packed ops that a plan has: one op a file, which fills its row or says in words why it cannot."""
