"""Which bins are wrong, and as what shapes. A detector scores; it never learns."""
