"""What an experiment is, as strictly checked values, from YAML and overrides.

`load` is the door: `strict_yaml` reads, `recipe` and the parts that it names check, `explain` says
what is wrong. `network` builds what ``model`` names.
"""
