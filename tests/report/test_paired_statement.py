"""Paired intervals in words, sentence by sentence, and the numbers behind them."""

from __future__ import annotations

from hand_made import change, pair

from winnow.report.paired_statement import paired_statement


def test_every_sentence_and_number() -> None:
    one = pair(
        change(0.9, 0.96, 0.95, half=0.004),
        change(0.8, 0.951, 0.95, half=0.004),
        change(0.7, 0.94, 0.95, half=0.0075),
        iteration=(
            change(0.9, 1500, 1700, half=50),
            change(0.8, 1650, 1700, half=60),
            change(0.7, 1900, 1700, half=70),
        ),
        reference="reinit",
    )
    statement = paired_statement(one)
    assert statement.heading == "ticket against reinit: paired 95 % intervals"
    assert statement.sentences == (
        "Differences ticket minus reinit, paired over 4 replicates; t-intervals with n − 1 degrees "
        "of freedom, corrected for 3 densities (Bonferroni) so that all hold together.",
        "Test accuracy: better at 90.0 % (+1.00 [+0.60, +1.40]) points; not distinguishable at "
        "80.0 % (+0.10 [-0.30, +0.50]) points; worse at 70.0 % (-1.00 [-1.75, -0.25]) points.",
        "Early stopping: sooner at 90.0 % (-200 [-250, -150]) iterations; not distinguishable at "
        "80.0 % (-50 [-110, +10]) iterations; later at 70.0 % (+200 [+130, +270]) iterations.",
    )
    assert statement.numbers == (
        ("density_total %", "n", "ticket", "reinit", "difference in points",
         "difference in iterations"),
        ("90.00", "4", "96.00", "95.00", "+1.00 [+0.60, +1.40]", "-200 [-250, -150]"),
        ("80.00", "4", "95.10", "95.00", "+0.10 [-0.30, +0.50]", "-50 [-110, +10]"),
        ("70.00", "4", "94.00", "95.00", "-1.00 [-1.75, -0.25]", "+200 [+130, +270]"),
    )  # fmt: skip


def test_without_early_stopping_and_at_one_density() -> None:
    statement = paired_statement(pair(change(0.25, 0.96, 0.95, n=2, half=0.02)))
    assert statement.sentences == (
        "Differences ticket minus dense, paired over 2 replicates; t-intervals with n − 1 degrees "
        "of freedom, one density, so uncorrected.",
        "Test accuracy: better nowhere; not distinguishable at 25.0 % (+1.00 [-1.00, +3.00]) "
        "points; worse nowhere.",
    )
    assert statement.numbers == (
        ("density_total %", "n", "ticket", "dense", "difference in points"),
        ("25.00", "2", "96.00", "95.00", "+1.00 [-1.00, +3.00]"),
    )


def test_more_than_four_densities_are_a_range() -> None:
    """Four are named one by one."""
    changes = [
        change(0.9, 0.961, 0.95, half=0.001),
        change(0.8, 0.962, 0.95, n=3, half=0.002),
        change(0.7, 0.963, 0.95, half=0.003),
        change(0.6, 0.965, 0.95, half=0.005),
        change(0.3, 0.964, 0.95, half=0.004),
    ]
    text = paired_statement(pair(*changes)).sentences
    assert text[0].startswith("Differences ticket minus dense, paired over 3 to 4 replicates;")
    assert text[1].startswith(
        "Test accuracy: better at 90.0 to 30.0 % (differences +1.10 to +1.50 points, intervals up "
        "to ±0.50); not"
    )
    four = paired_statement(pair(*changes[:4])).sentences[1]
    assert "better at 90.0 % (+1.10 [+1.00, +1.20]), 80.0 % (+1.20 [+1.00, +1.40]), 70.0 %" in four
    apart = [*changes[:3], change(0.65, 0.94, 0.95, half=0.001), *changes[3:]]
    assert (
        "better at 90.0 to 70.0, 60.0, 30.0 % (diff" in paired_statement(pair(*apart)).sentences[1]
    )


def test_differences_that_all_agree_have_no_interval() -> None:
    """Not one of a single replicate, nor none at all: there nothing agrees, or nothing differs."""
    one = pair(
        change(0.5, 0.96, 0.95),
        change(0.4, 0.95, 0.95),
        change(0.3, 0.97, 0.95, n=1),
        change(0.2, 0.98, 0.95, half=0.01),
        change(0.1, 0.93, 0.95, n=2),
        change(0.05, 0.99, 0.95),
    )
    sentences = paired_statement(one).sentences
    assert sentences[-1] == (
        "At 50.0, 10.0, 5.0 % all replicates differ by the same number: no interval for accuracy "
        "there."
    )
    assert sentences[1].startswith(
        "Test accuracy: better at 20.0 % (+3.00 [+2.00, +4.00]) points; not distinguishable at "
        "50.0 to 30.0, 10.0, 5.0 % (differences -2.00 to +4.00 points); worse nowhere"
    )
    assert paired_statement(pair(one.accuracy[1], one.accuracy[3])).sentences[1:] == (
        "Test accuracy: better at 20.0 % (+3.00 [+2.00, +4.00]) points; not distinguishable at "
        "40.0 % (+0.00, no interval) points; worse nowhere.",
    )


def test_one_replicate_is_observed() -> None:
    one = pair(
        change(0.5, 0.96, 0.95, n=1),
        change(0.4, 0.91, 0.95, n=1),
        iteration=(change(0.5, 10, 30, n=1),),
    )
    statement = paired_statement(one)
    assert statement.sentences == (
        "One replicate: no interval, so nothing can be called better or worse. Observed "
        "differences in test accuracy: -4.00 to +1.00 points. Two replicates or more give "
        "intervals.",
    )
    assert statement.numbers[1:] == (
        ("50.00", "1", "96.00", "95.00", "+1.00, no interval", "-20, no interval"),
        ("40.00", "1", "91.00", "95.00", "-4.00, no interval", ""),
    )
