"""What `make docs` makes of code and of stored results: for `generate.py` and `conf.py`."""
