"""Runs: their config, plan and execution, one after another or many at once, and what each leaves behind."""
