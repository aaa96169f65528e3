"""A reproducible benchmark: suites of good and faulty histograms, every detector and baseline on the same ones.

One file a suite; `suite` lists them, `report` writes what they found.
"""
