"""What is known of datasets before they are loaded."""

from winnow.data.facts import facts, is_reencoded


def test_only_copies_that_are_known_to_differ_are_reencoded():
    original = facts("mnist").original
    assert not is_reencoded("mnist", original)
    assert is_reencoded("mnist", "0" * 64)
    (jpeg,) = facts("cifar-10").reencoded
    assert is_reencoded("cifar-10", jpeg)
    assert not is_reencoded("cifar-10", "0" * 64)  # nobody knows
    assert not is_reencoded("digits", "0" * 64)
