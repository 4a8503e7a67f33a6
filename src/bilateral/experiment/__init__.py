"""From a config to runs with results: config, plan, runner, results."""
