"""One method against the strongest of many, without the favour that the strongest chose itself.

The best mean of many methods is partly luck, so that a method equal to all of them would look worse
than the one on top. Hence two rules:

- Worse: the reference of a replicate is the method that is strongest (in the mean over densities)
  in all *other* replicates, so that the replicate itself had no part in the choice.
- Better: only what is called better than every single method is called better than the strongest.
  As all of these must err together, no correction for their number is needed (the intersection-
  union test; Berger 1982, "Multiparameter hypothesis testing and acceptance sampling").
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from winnow.report.entry.calls import (
    Calls,
    MethodCall,
    Sweep,
    density_alpha,
    density_calls,
    one_call,
    overall_call,
)


def strongest(methods: Mapping[str, Sweep]) -> str:
    """The method with the largest mean over replicates and densities; the first of equal ones."""
    return max(methods, key=lambda name: _level(methods[name], methods[name].keys()))


def left_out(methods: Mapping[str, Sweep], replicates: Sequence[int]) -> dict[int, str]:
    """Replicate → the method that is strongest in all others; of a single one, in itself."""
    chosen = {}
    for number in replicates:
        others = [other for other in replicates if other != number] or [number]
        chosen[number] = max(methods, key=lambda name: _level(methods[name], others))
    return chosen


def calls_against_strongest(subject: Sweep, methods: Mapping[str, Sweep]) -> Calls | None:
    """The calls against the strongest of ``methods``, over the replicates that all have.

    None without a method or a common replicate.
    """
    both = sorted(set(subject).intersection(*methods.values())) if methods else []
    if not both:
        return None
    chosen = left_out(methods, both)
    reference = {number: methods[name][number] for number, name in chosen.items()}
    each = (overall_call(subject, method, both).called for method in methods.values())
    overall = _unless_all(overall_call(subject, reference, both), each)
    alpha = density_alpha(overall, len(subject[both[0]]))
    at = []
    for k, call in enumerate(density_calls(subject, reference, both, alpha)):
        pairs = ([(subject[r][k], method[r][k]) for r in both] for method in methods.values())
        at.append(_unless_all(call, (one_call(own, alpha).called for own in pairs)))
    return Calls(overall, tuple(at))


def _unless_all(call: MethodCall, each: Iterable[str]) -> MethodCall:
    """The call, open where it says better and that of some single method does not."""
    if call.called == "better" and any(called != "better" for called in each):
        return replace(call, called="open")
    return call


def _level(method: Sweep, replicates: Container[int]) -> float:
    """The mean over replicates (those that the method has) and densities; −∞ without any."""
    own = [method[number] for number in method if number in replicates]
    if not own:
        return -math.inf
    return math.fsum(math.fsum(values) / len(values) for values in own) / len(own)
