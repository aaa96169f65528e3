"""Where verdicts and alarms go."""
