"""Thesis A (CMS HCAL, 2018): good, hot and dead occupancy maps, told apart by networks."""
