"""The kinds of methods that recipes compare: their options, checks, runs, arms and costs."""
