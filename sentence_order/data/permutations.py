"""Draws the order in which a model reads the sentences of a document: a pure function of seed, epoch and document."""

import numpy as np
import numpy.typing as npt

from sentence_order.arrays import IntArray

Hashes = npt.NDArray[np.uint64]

# The increment of splitmix64, and the factors of its finaliser.
GAMMA = np.uint64(0x9E3779B97F4A7C15)
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw_permutations(seed: int, epoch: int | None, keys_B: IntArray, counts_B: IntArray) -> IntArray:
    """For each document a uniform permutation of range(its count): (B, S).

    Each is a pure function of (seed, epoch, the document's key), whatever else is drawn with it; behind its end every
    index stands for itself. Epochs count from 0; None stands for the one fixed shuffle of evaluation.

    It sorts by hashes, and so is the same with every version of every library. Those of a document are the output of
    the generator splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") from a state
    that the same finaliser mixes of the three; no two of them are equal.
    """
    state_B = _mix(np.array([seed], dtype=np.uint64) + GAMMA)
    state_B = _mix(state_B + np.array([0 if epoch is None else epoch + 1], dtype=np.uint64) * GAMMA)
    state_B = _mix(state_B ^ keys_B.astype(np.uint64))
    index_S = np.arange(counts_B.max(initial=0))
    hashes_BS = _mix(state_B[:, None] + (index_S.astype(np.uint64) + np.uint64(1)) * GAMMA)
    hashes_BS[index_S >= counts_B[:, None]] = np.iinfo(np.uint64).max  # a stable sort leaves these at the end
    order_BS: IntArray = hashes_BS.argsort(axis=1, kind="stable")
    return order_BS


def _mix(hashes: Hashes) -> Hashes:
    """The finaliser of splitmix64, one to one: every bit of the input changes about half of those of the output."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * FACTORS[0]
    hashes = (hashes ^ (hashes >> np.uint64(27))) * FACTORS[1]
    return hashes ^ (hashes >> np.uint64(31))
