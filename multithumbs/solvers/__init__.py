"""Pure optimisation: residuals in, parameters out. No files, no configuration objects."""
