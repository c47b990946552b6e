"""The only place that sees criterion, schedule and rewinding together."""
