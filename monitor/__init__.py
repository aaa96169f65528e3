"""histwatch: an online data-quality monitor for detector histograms.

The folders tell a snapshot's journey: source, decode, window, normalise, infer, detect, judge, alarm, sinks;
`service` is the loop that drives them, `learn` makes what they compare with, `cli` is the user's surface.
"""

__version__ = "0.1.0"
