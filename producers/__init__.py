"""What publishes histogram snapshots: the replay of recorded runs and a simulated detector."""
