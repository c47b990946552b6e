"""From a recipe to its graph of runs: which trainings, from which masks and weights, for what.

`plan.expand` is the door. A recipe goes through these files once, from the top down:

    setting       what all runs share: layers, iterations of an epoch, the dense run
       ▼
    replicate     one number of seeds: its dense run, and what a point of it is
       ▼
    rounds        tickets round by round and their controls: `prune` and `controls`; or
    comparison    methods side by side: `compare`, each planned by its kind in kinds/
       ▼
    cost          where methods are compared, what each point costs in epochs
       ▼
    plan          all points in the order in which they train, parents first

Rounds and kinds build runs from two parts. `criterion`: how weights are scored, in full, and which
examples that takes. `restart`: how long a network trains before it is pruned, what it goes on from.
"""
