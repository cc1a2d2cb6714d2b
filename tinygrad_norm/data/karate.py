"""Zachary's karate club: the graph on which methods for graphs are tried first."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import Array, floating

# Zachary's numbers, from 1 on: each member, and those of higher number with whom they met outside the club
_FRIENDS = {
    1: (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 20, 22, 32),
    2: (3, 4, 8, 14, 18, 20, 22, 31),
    3: (4, 8, 9, 10, 14, 28, 29, 33),
    4: (8, 13, 14),
    5: (7, 11),
    6: (7, 11, 17),
    7: (17,),
    9: (31, 33, 34),
    10: (34,),
    14: (34,),
    15: (33, 34),
    16: (33, 34),
    19: (33, 34),
    20: (34,),
    21: (33, 34),
    23: (33, 34),
    24: (26, 28, 30, 33, 34),
    25: (26, 28, 32),
    26: (32,),
    27: (30, 34),
    28: (34,),
    29: (32, 34),
    30: (33, 34),
    31: (33, 34),
    32: (33, 34),
    33: (34,),
}
_WITH_THE_TEACHER = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 22)


def karate_club(dtype: Any = np.float64) -> tuple[Array, Array, Array]:
    """Who met whom, and whom they followed when the club split: adjacency, edges, labels.

    adjacency:  shape (34, 34), symmetric, 1 for each of the 78 friendships, 0 on the diagonal
    edges:      shape (78, 2), int64: the two members of each, from 0 on, the smaller number first, in order
    labels:     shape (34,), int64: 0 with the teacher (member 0, "Mr. Hi"), 1 with the officers (member 33); 17 each

    Raises ``DataError`` for what is no floating-point dtype.

    Source: Zachary 1977, "An Information Flow Model for Conflict and Fission in Small Groups", Journal of Anthropological Research
    33, figs. 1-3, tab. 3; without the weights.
    """
    adjacency = np.zeros((34, 34), floating("karate_club", dtype))
    edges = np.array([(a - 1, b - 1) for a, friends in _FRIENDS.items() for b in friends], np.int64)
    a, b = edges.T
    adjacency[a, b] = adjacency[b, a] = 1
    labels = np.ones(34, np.int64)
    labels[np.array(_WITH_THE_TEACHER) - 1] = 0
    return adjacency, edges, labels
