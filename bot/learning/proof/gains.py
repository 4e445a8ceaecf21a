"""Whether there is a reason to promote: more texts right, or intents that were not known before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.learning.proof import bootstrap
from bot.learning.proof.bootstrap import Resampling
from bot.learning.proof.evidence import Asked, Bools, Evidence
from bot.learning.proof.reason import Level, Reason, rounded_p, shown_p
from bot.learning.proof.statistics import mcnemar, not_worse, wilson
from bot.learning.proof.terms import ProofTerms

Found = list[Reason]


def gain(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """The first reason to promote: more texts right than chance explains.

    Two tests must agree. McNemar's alone keeps its level, but passes what is no better just as
    often as that, week after week on the same frozen set; that the bootstrap's interval lies above
    0, too, halves it.
    """
    texts = evidence.intents
    if texts.n == 0:
        sentence = "There is no test text with an intent, so nothing can be proven; add some to "
        return [Reason(name="gain", level="hold", sentence=sentence + "test/nlu.yml.")]
    gained, lost = texts.changes()
    p_value = mcnemar(gained, lost, better="challenger")
    change = bootstrap.accuracy(
        texts.truth, texts.champion, texts.challenger, replace(how, level=1 - terms.alpha)
    )
    proven = p_value <= terms.alpha and change.low > 0
    figures = {
        "n": texts.n,
        "gained": gained,
        "lost": lost,
        "p_value": rounded_p(p_value),
        "alpha": terms.alpha,
        "accuracy": change.as_json(),
        "champion_interval": _interval(texts.champion_right),
        "challenger_interval": _interval(texts.challenger_right),
    }
    said = "A gain is proven" if proven else "No gain is proven"
    sentence = (
        f"{said}: of {texts.n} texts the challenger alone has {gained} right, the champion alone "
        f"{lost} (McNemar, one-sided: p = {shown_p(p_value)}, {terms.alpha:g} at most; bootstrap: "
        f"{100 * change.low:+.1f} to {100 * change.high:+.1f} points, more than 0)."
    )
    level: Level = "promote" if proven else "hold"
    if level == "hold" and (_knows_more(evidence, terms) or _Looks.of(evidence).show_gain(terms)):
        level = "note"
    return [Reason(name="gain", level=level, sentence=sentence, figures=figures)]


def new_intents(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """The other reason: intents that the champion hardly knows, if at all, at no cost elsewhere.

    Of such an intent there are few texts, and none in the frozen set: a gain over all of them may
    take months to prove. Which they are is told by what was taught, before anything is tried. What
    counts is that they are known better than before, and that a loss of `frozen_margin` on all
    other texts is ruled out.

    Of new intents the champion can have nothing right, and any text that is right is a gain; so
    they are looked at alone first. Where it may have, this is another look at texts that `gain`
    looks at, too, and must show more.
    """
    looks = _looks_at_young(evidence)
    if not looks:
        return []
    young = next((look for look in looks if look.is_proven(terms)), looks[-1])
    if young.n == 0:
        sentence = f"{len(young.names)} intents are new or have grown, and no text of theirs is "
        return [Reason(name="new_intents", level="note", sentence=sentence + "kept to test with.")]
    proven = young.is_proven(terms)
    names = f"{', '.join(young.names[:5])}{' ...' if len(young.names) > 5 else ''}"
    costs_nothing = young.not_worse_p(terms) <= terms.alpha
    said = "Intents that are new or have grown are known better"
    if not proven:
        said = f"It is not proven that {said[0].lower()}{said[1:]}"
    sentence = (
        f"{said} ({names}): of {young.n} texts of theirs {young.right} are right, "
        f"{young.gained} of them by the challenger alone, where the champion alone has "
        f"{young.lost} (McNemar, one-sided: p = {shown_p(young.p_value)}, "
        f"{young.alpha(terms):g} at most, and half of them, are wanted); on the {young.others} "
        f"others {young.others_gained} were gained and {young.others_lost} lost, and a loss of "
        f"{100 * terms.frozen_margin:g} points is {'' if costs_nothing else 'not '}ruled out "
        f"(Tango: p = {shown_p(young.not_worse_p(terms))}, {terms.alpha:g} at most)."
    )
    figures = {
        "intents": list(young.names),
        "n": young.n,
        "right": young.right,
        "gained": young.gained,
        "lost": young.lost,
        "p_value": rounded_p(young.p_value),
        "p_at_most": young.alpha(terms),
        "others": young.others,
        "others_gained": young.others_gained,
        "others_lost": young.others_lost,
        "not_worse_p": rounded_p(young.not_worse_p(terms)),
        "margin": terms.frozen_margin,
    }
    level: Level = "promote" if proven else "note"
    return [Reason(name="new_intents", level=level, sentence=sentence, figures=figures)]


def asked(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """The third reason: what people said of real messages that both take differently.

    They were drawn by lot from all of these, so whoever is right more often here is so over all of
    the messages. It is a second look at what the test texts left open: both count together.
    """
    if evidence.asked is None:
        return []
    texts = evidence.asked.texts
    gained, lost = texts.changes()
    looks = _Looks.of(evidence)
    worse_p = mcnemar(gained, lost, better="champion", mid=True)
    level: Level = "note"
    if looks.show_gain(terms):
        level, said = "promote", "and that is a gain"
    elif worse_p <= terms.side_alpha:
        level, said = "refuse", "and that is a loss"
    else:
        said = "which proves neither"
    sentence = (
        f"Of {evidence.asked.differ} real messages that both take differently people labelled "
        f"{texts.n}, drawn by lot: the challenger alone has {gained} right, the champion alone "
        f"{lost}, {said} (McNemar, one-sided: p = {shown_p(looks.second)}; times that of the test "
        f"texts {shown_p(looks.both)}, {shown_p(terms.both_looks)} at most)."
    )
    figures = {
        "n": texts.n,
        "differ": evidence.asked.differ,
        "replayed": evidence.asked.replayed,
        "gained": gained,
        "lost": lost,
        "p_value": rounded_p(looks.second),
        "worse_p": rounded_p(worse_p),
        "both": rounded_p(looks.both),
        "both_at_most": rounded_p(terms.both_looks),
    }
    return [Reason(name="asked", level=level, sentence=sentence, figures=figures)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looks:
    """One-sided p-values of a gain: on the test texts, and on what people were asked about."""

    first: float
    second: float

    @classmethod
    def of(cls, evidence: Evidence) -> "_Looks":
        """Without a test text the first says nothing, and so does the second without an answer."""
        first = mcnemar(*evidence.intents.changes(), better="challenger")
        if evidence.asked is None:
            return cls(first=first, second=1.0)
        return cls(
            first=first, second=mcnemar(*evidence.asked.texts.changes(), better="challenger")
        )

    @property
    def both(self) -> float:
        """Their product."""
        return self.first * self.second

    def show_gain(self, terms: ProofTerms) -> bool:
        """Whether both together prove a gain, and the second speaks for it."""
        return self.second < 0.5 and self.both <= terms.both_looks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Young:
    """What is known of the intents that are new or have grown, and of all others."""

    names: tuple[str, ...]
    are_new: bool  # all of them
    n: int
    right: int
    gained: int
    lost: int
    others: int
    others_gained: int
    others_lost: int

    def with_asked(self, asked: Asked) -> "_Young":
        """The same with what people said of messages that both take differently."""
        is_young = asked.texts.of_labels(self.names)
        gained, lost = asked.texts.changes(is_young)
        others_gained, others_lost = asked.texts.changes(~is_young)
        return replace(
            self,
            n=self.n + int(is_young.sum()),
            right=self.right + int(asked.texts.challenger_right[is_young].sum()),
            gained=self.gained + gained,
            lost=self.lost + lost,
            others=self.others + asked.stands_for - int(is_young.sum()),
            others_gained=self.others_gained + others_gained,
            others_lost=self.others_lost + others_lost,
        )

    @property
    def p_value(self) -> float:
        """How likely so many are gained where none is known better than before.

        The champion has nothing right of what is new, so there is no chance to be careful of but
        that of the few texts: the mid-p will do.
        """
        return mcnemar(self.gained, self.lost, better="challenger", mid=self.are_new)

    def not_worse_p(self, terms: ProofTerms) -> float:
        """How likely the others are where they lost the margin."""
        gained, lost = self.others_gained, self.others_lost
        return not_worse(gained, lost, n=self.others, margin=terms.frozen_margin)

    def alpha(self, terms: ProofTerms) -> float:
        """How unlikely it must be."""
        return terms.alpha if self.are_new else terms.alpha / 2

    def is_proven(self, terms: ProofTerms) -> bool:
        """Whether both are unlikely, and half of the texts are right."""
        known = self.p_value <= self.alpha(terms) and 2 * self.right >= self.n
        return known and self.not_worse_p(terms) <= terms.alpha


def _looks_at_young(evidence: Evidence) -> list[_Young]:
    """At the intents that are new, and at these with those that have grown, if there are any."""
    new = set(evidence.challenger.labels.intent) - set(evidence.champion.labels.intent)
    grown = evidence.grown - new
    looks = [_young(evidence, sorted(new), are_new=True)] if new else []
    if grown:
        looks.append(_young(evidence, [*sorted(new), *sorted(grown)], are_new=False))
    return looks


def _young(evidence: Evidence, names: Sequence[str], *, are_new: bool) -> _Young:
    texts = evidence.intents
    is_young = texts.of_labels(names)
    gained, lost = texts.changes(is_young)
    others_gained, others_lost = texts.changes(~is_young)
    found = _Young(
        names=tuple(names),
        are_new=are_new,
        n=int(is_young.sum()),
        right=int(texts.challenger_right[is_young].sum()),
        gained=gained,
        lost=lost,
        others=int((~is_young).sum()),
        others_gained=others_gained,
        others_lost=others_lost,
    )
    return found if evidence.asked is None else found.with_asked(evidence.asked)


def _knows_more(evidence: Evidence, terms: ProofTerms) -> bool:
    return any(look.is_proven(terms) for look in _looks_at_young(evidence))


def _interval(right: Bools) -> list[float]:
    low, high = wilson(int(right.sum()), len(right))
    return [round(low, 4), round(high, 4)]
