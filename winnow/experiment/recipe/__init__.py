"""What an experiment is, as strictly checked values, from YAML and overrides."""
