"""Functions outside of compiled graphs; that they are is seen where networks are compiled."""

from ganlab.core.uncompiled import uncompiled


def test_a_function_gives_what_it_gave() -> None:
    @uncompiled
    def twice(number: int) -> int:
        """Double."""
        return 2 * number

    assert [twice(2), twice(number=3)] == [4, 6]
    assert (twice.__name__, twice.__doc__) == ("twice", "Double.")
