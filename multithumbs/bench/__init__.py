"""The cross-shot benchmark: suites, methods, tables (`multithumbs bench`)."""
