"""Shot boundary detectors."""
