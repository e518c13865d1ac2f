"""Comparison of what intsim computes with what something else computed."""
