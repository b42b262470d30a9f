"""A baseline that orders sentences by their words alone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from scipy.sparse import vstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


def bag_of_words_tau(train_documents: Iterable[list[str]], test_documents: Iterable[list[str]]) -> float:
    """Train the baseline on documents in gold order and return its mean Kendall tau on others.

    The baseline is a logistic regression on the difference of the word counts of two sentences. As it is linear, its
    score of a pair is the difference of two scores, one per sentence, so sorting by these gives its order.
    """
    train_documents = list(train_documents)
    words = CountVectorizer(token_pattern=r"(?u)\b\w+\b").fit([s for document in train_documents for s in document])

    differences = []
    for document in train_documents:
        counts = words.transform(document)
        pairs = list(combinations(range(len(document)), 2))
        differences.append(counts[[i for i, _ in pairs]] - counts[[j for _, j in pairs]])
    earlier_minus_later = vstack(differences)
    # Both directions of every pair: the classes are balanced, and no intercept can prefer one of them.
    model = LogisticRegression(fit_intercept=False, max_iter=300).fit(
        vstack([earlier_minus_later, -earlier_minus_later]), np.repeat([1, 0], earlier_minus_later.shape[0])
    )

    taus = []
    for document in test_documents:
        score = words.transform(document) @ model.coef_[0]
        # A pair with equal scores is neither right nor wrong, so that ties do not fall to the gold order.
        signs = [np.sign(score[i] - score[j]) for i, j in combinations(range(len(document)), 2)]
        taus.append(np.mean(signs))
    return float(np.mean(taus))
