"""One motion per person: `lm` (default) or `adamw` (the paper's Eq. 9-11, literally)."""
