"""How strongly a harm speaks against a version on trial, at whatever moment one looks.

The draw alone decides which conversations fall to the trial. If the version on trial is no worse,
each conversation with a harm is therefore one of the trial's with just the trial's share as its
probability, whatever the others were. A likelihood ratio against that, mixed over how many times
more often the harm may happen, is a martingale that starts at 1. By Ville's inequality (J. Ville,
1939) it reaches 1/alpha with a probability of at most alpha in all of its life: it may be looked at
after each conversation. Robbins (1970) mixes such ratios; Kulldorff et al. (2011) watch vaccines by
the same conditional count. The mean over several harms, however they hang together, keeps the bound
(Vovk and Wang, 2021).
"""

import math
from collections.abc import Iterable

import numpy as np

# Times more often: smaller differences are not worth a roll-back.
_RATIOS = np.geomspace(1.2, 10.0, 12)


def evidence(*, trial: int, total: int, share: float) -> float:
    """Of `total` conversations with a harm `trial` are the trial's, which has a share of all.

    1 says nothing, more speaks against the version; a probability of at most 1/x to ever pass x.
    """
    odds = _RATIOS * share
    drawn = odds / (odds + 1 - share)
    logs = trial * np.log(drawn / share) + (total - trial) * np.log((1 - drawn) / (1 - share))
    top = float(logs.max())
    # Beyond this a float is infinite, and nobody doubts any more.
    return math.exp(min(700.0, top + math.log(float(np.exp(logs - top).mean()))))


def together(values: Iterable[float]) -> float:
    """The evidence of several harms in one."""
    return float(np.mean(list(values)))
