"""The whole system on one machine: a broker, a recorded run, the monitor, and a terminal that shows what it says."""
