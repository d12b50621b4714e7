"""Wrong labels: how many there are is told from scores alone, and probabilities of single ones are honest."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from decider.learn.noise import noise_of

N = 3000


def scored(
    size: int, flipped: float, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Scores that tell the true label most of the time, the labels given, and which of these are wrong."""
    chance = np.random.default_rng(seed)
    true = chance.integers(size, size=N)
    scores = chance.normal(size=(N, size))
    scores[np.arange(N), true] += 4.0
    # The labels follow the scores as softmax has it, but for those that are flipped.
    shares = np.exp(2.0 * scores)
    given = np.array([chance.choice(size, p=one / one.sum()) for one in shares])
    wrong = chance.random(N) < flipped
    given[wrong] = (given[wrong] + chance.integers(1, size, size=int(wrong.sum()))) % size
    return scores, given, wrong


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("flipped", [0.03, 0.15])
def test_it_tells_how_many_labels_are_wrong_and_how_probably_each(size: int, flipped: float) -> None:
    scores, labels, wrong = scored(size, flipped)
    noise = noise_of(scores, labels)
    # A label that is random is right by chance once in `size`.
    assert noise.share * (1.0 - 1.0 / size) == pytest.approx(flipped, abs=0.02)
    said = noise.wrong(labels)
    assert said.min() >= 0.0
    assert said.max() < 1.0
    sure = said > 0.8
    assert wrong[sure].mean() == pytest.approx(said[sure].mean(), abs=0.1)
    assert said.sum() == pytest.approx(wrong.sum(), rel=0.25)


def test_clean_labels_are_hardly_doubted() -> None:
    scores, labels, _ = scored(5, 0.0)
    noise = noise_of(scores, labels)
    assert noise.share < 0.01
    assert noise.wrong(labels).mean() < 0.01


def test_the_same_scores_and_seed_give_the_same() -> None:
    scores, labels, _ = scored(3, 0.1)
    assert np.array_equal(noise_of(scores, labels, seed=3).shares, noise_of(scores, labels, seed=3).shares)


def test_rows_with_fewer_wrong_labels_are_doubted_less() -> None:
    scores, labels, wrong = scored(4, 0.1)
    noise = noise_of(scores, labels)
    right, all_ = np.flatnonzero(~wrong), np.arange(N)
    assert noise.share_of(right, labels) < 0.02 < noise.share_of(all_, labels)
    assert noise.share_of(right[:1], labels) == pytest.approx(noise.share, rel=0.3)
    assert (noise.wrong(labels, 0.01) < noise.wrong(labels)).all()


def test_a_rare_label_is_not_all_noise_where_noise_is_as_rare() -> None:
    rare = np.where(np.arange(N) % 50 == 0, 1, 0)
    nothing, random = np.zeros((N, 2)), np.array([0.98, 0.02])
    alike, seldom = noise_of(nothing, rare), noise_of(nothing, rare, random)
    assert alike.wrong(rare, 0.03)[rare == 1].max() > seldom.wrong(rare, 0.03)[rare == 1].max()


def test_labels_that_nobody_gave_are_not_given_at_random() -> None:
    scores, labels, _ = scored(3, 0.1)
    more = np.concatenate([scores, np.full((N, 3), -9.0)], axis=1)
    assert noise_of(more, labels).random.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0, 0])
