"""The loop that drives a snapshot through the stages: start, step, drain, stop."""
