"""What `make docs` makes of the code and of stored results; `docs/generate.py` and `conf.py` call it."""
