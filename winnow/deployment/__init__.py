"""From a ticket to a smaller or faster network in one file.

    model, mask --capture--> a graph of ATen operations --simplify, shrink--> a smaller one
                                                                  |
                    sparse: nonzeros and kernels     torch: .pt2      onnx
                                    \\                   |            /
                                     one folder: the file and its card

Read in this order:

1. `network`, `capture`, `simplify`: a module as a graph, without its class.
2. `shrink`: an equal network without units that decide nothing.
3. `runtime`: from ``steps`` over ``geometry`` and ``assemble`` to a program of ``kernels``;
   ``recognise``, ``parts`` and ``plan`` find what kernels can run, ``choose`` what they shall;
   ``module`` is what users call.
4. `graphjson`, `saved`, `loading`: the file. `onnx`, `exporting`: the other formats.
5. `measure`, `card`, `hub`: what is told of it. `deploying`, `folder`: all of it, as `wn.deploy`.
"""
