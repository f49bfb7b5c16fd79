"""Who moves is waited for, however slow; who stands still is not."""

from __future__ import annotations

from chaos.patience import Patience


class Watch:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_moves_is_waited_for_and_what_stands_still_is_not() -> None:
    watch = Watch()
    patience = Patience(10.0, watch)
    for at, state, ends in ((0.0, 5, False), (9.0, 4, False), (18.0, 4, False), (19.0, 4, False), (19.1, 4, True)):
        watch.now = at
        assert patience.ends(state) is ends
    assert not patience.ends(3)


def test_nothing_at_all_ends_as_well() -> None:
    watch = Watch()
    patience = Patience(10.0, watch)
    watch.now = 10.1
    assert patience.ends(None)
