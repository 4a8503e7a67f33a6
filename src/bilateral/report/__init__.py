"""The report: one self-contained page with everything that came of an experiment."""
