"""What numba compiles, and nothing else: these files are hashed to name the cache of kernels.

Of the project they import `winnow.kernels` alone. What a kernel computes, and for which arrays, is
in its docstring. ``ENTRIES`` of a file are the kernels that Python calls, with their argument
types; `groups` says which are compiled together.

of chains       chain_steps      training and evaluation, many steps in one call; calls:
                chain_network    the arrays of a whole network
                chain_pixels     bytes of images to a tile of features
                chain_product    a layer's products, forward and back, with a tile
                chain_gradient   the gradient of its nonzeros, and their update
of graphs       block_product    sparse weights times a map: convolutions, linear layers, and back
                block_gradient   the gradient of their nonzeros
                block            the vectors of a few pixels, in registers
                block_shapes     for which shapes of blocks the two compile
                strips           a few rows of what a product reads, computed, not stored
                grid, map_steps  where the pixels of a map lie
                batch_norm, pooling, elementwise
                gather, convert  bytes of images, or tensors, to a map and back
                stored, halves   maps of float32 or bf16, and from one to the other
of both         loss, squares, update
"""
