"""Compare two methods: the same networks, data order, budget and evaluation, with intervals.

    python examples/compare_methods.py

SNIP (pruned before training) against RigL (the mask moves during training), at 10 and 2 % of the
weights, with random masks beside them: the recipe ``compare/digits`` with its lists shortened.
Expect: both are better than random masks, by far at 2 %. What is finished is kept in ``./runs``: a
second start trains nothing, and one with more replicates trains only those.
"""

from __future__ import annotations

from statistics import mean

import winnow as wn

OVERRIDES = {
    "compare.methods": ["random", "snip", {"name": "rigl", "every": "20it"}],
    "compare.densities": [0.1, 0.02],
    "engine": "sparse",
}


def main() -> None:
    result = wn.run("compare/digits", overrides=OVERRIDES, replicates=3, jobs=1)
    for arm in ("random", "snip", "rigl"):
        for density in OVERRIDES["compare.densities"]:
            rows = [
                r for r in result.results.rows if r.arm == arm and abs(r.density - density) < 1e-3
            ]
            accuracy = mean(row.final_test_accuracy for row in rows)
            print(f"{arm:<7} {100 * density:>3g} %: {100 * accuracy:5.2f} % over {len(rows)} runs")
    print()
    print(result.verdict)
    print()
    print(f"page: {result.page}")


if __name__ == "__main__":
    main()
