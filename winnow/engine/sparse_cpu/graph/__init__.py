"""Networks of convolutions, linear layers and what lies between: a graph of operations.

model ── trace ──> TracedNode ── plan ──> Operation ── segments ──> stages run for a few groups
         (torch.fx) of a kind    (fuses)   on Activation            of a batch at a time

How a network becomes a graph
  kinds, recognise  which calls of torch have kernels here (pools: which pools)
  trace             the nodes of a network, with their shapes
  plan              nodes to operations, neighbours fused
  borders, window   how wide the border of every map must be
  notes             what torch runs for want of a kernel
  streaming         which activations, and which gradients by them, are never stored

What operations work on
  map               how W examples lie side by side
  activations       what one operation hands to the next
  gradients         where the gradients by them lie
  strips            parts of either, computed when a product reads them
  parameters        all trained numbers and their slots, in one array

Operations
  operation, stages what they have in common, and what they do at once
  product           a sparse layer; lists (of its nonzeros), regions (of a map), correlate (kernels)
  blend, norm       batch norm, residual sum and ReLU
  pooling, dropout
  torch_part        what torch runs

How they run
  segments          stages that share what is in the cache, and the lanes of a batch
  lanes             gradients that several lanes add to at once
  graph             the whole network, forward and back
  session           training
"""
