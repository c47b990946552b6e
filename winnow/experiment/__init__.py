"""An experiment, from the recipe to the store.

recipe/ (what is asked) → plan/ (a graph of runs) → train/ (workers that train what is missing)
→ store/ (what is finished). `runs` has the values that all of them speak of.
"""
