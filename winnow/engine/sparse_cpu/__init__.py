"""Training on CPUs whose cost falls with density: kernels that touch nonzeros only.

                      job, state
                          |
                       engine                  is the network a chain of linear layers?
             yes /                 \\ no
            chain                   graph
     many steps in one         a step is a list of operations, each
     compiled call             a few calls of kernels (or of torch)
                 \\                /
                  v              v
                      kernels                  numba only; hashed alone for their cache

A step, either way, for examples side by side in vectors of W float32 (chains take tiles of 4 W):

    bytes of images --gather--> x --product--> ... --> logits --loss--> delta
                                     weights: nonzeros in lists           |
    updated weights <--update-- gradient of nonzeros  <--  ... <--product back

A team of threads shares the work of a step where that pays; how, the shape alone decides.

Read in this order:

1. `engine`: which way a job goes, and why one is refused (`unsupported`).
2. `places`: which entries of a parameter are trained, and how values move when a mask changes;
   `rules`: the optimizer, and `splits`: the data, as kernels take them; `team`: threads. Both ways
   share these.
3. `chain`: its ``session`` is short and shows what a session needs; then ``lists`` and ``weights``.
4. `kernels`: ``chain_steps`` is a whole training loop; ``update`` and ``loss`` serve both ways.
5. `graph`: from ``trace`` over ``plan`` to the operations; then the kernels named ``block_*``.

`winnow.kernels` has the vectors that kernels are written with, and the cache of compiled code.
"""
