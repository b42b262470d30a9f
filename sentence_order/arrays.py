"""Types of numpy arrays, and the legend of shape suffixes.

The name of a tensor or array ends in its axes: `logits_BSS` is (documents, sentences, sentences).

    B  documents of a batch              D  documents of a corpus            G  documents of one length
    S  sentences of a document           T  1 + S: the document's boundary, then its sentences
    L  tokens of a document or segment   P  tokens of a batch, packed        N  segments of a batch, packed
    Q  sides of the pairs of sentences   E  entries of a matrix, or pairs of sentences
    H  hidden width                      A  attention heads                  V  width of an attention head
    U  hidden units of a head            F  features of a pair               I, O  width of input and output
    W  partial orders in a beam          Z  sets of sentences, 2**S
    M  metrics                           R  resamples
    J, K, X, Y  counts that are explained where they are used                1  an axis of length 1
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
