"""Run: what runs a network, the kernels' engine and the spec's, in batches, and what comes back."""
