"""Whether there is a reason to promote: more texts right, or intents that were not known before."""

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
    """The other reason: intents that the champion cannot have right, at no cost elsewhere.

    Of a new intent there are few texts, and none in the frozen set: a gain over all of them may
    take months to prove. What counts is that it is known at all, and that a loss of
    `frozen_margin` on all other texts is ruled out.
    """
    added = _added(evidence)
    if added is None:
        return []
    if added.n == 0:
        sentence = f"{len(added.names)} intents are new, and no text of them is kept to test with."
        return [Reason(name="new_intents", level="note", sentence=sentence)]
    proven = added.is_proven(terms)
    names = f"{', '.join(added.names[:5])}{' ...' if len(added.names) > 5 else ''}"
    said = "New intents are known" if proven else "It is not proven that new intents are known"
    sentence = (
        f"{said} ({names}): of {added.n} texts of theirs {added.right} are right, of which the "
        f"champion can have none (p = {shown_p(added.p_value)}, and half of them, are wanted); on "
        f"the {added.others} others {added.gained} were gained and {added.lost} lost, and a loss "
        f"of {100 * terms.frozen_margin:g} points is "
        f"{'' if added.not_worse_p(terms) <= terms.alpha else 'not '}ruled out (Tango: p = "
        f"{shown_p(added.not_worse_p(terms))}, {terms.alpha:g} at most)."
    )
    figures = {
        "intents": list(added.names),
        "n": added.n,
        "right": added.right,
        "p_value": rounded_p(added.p_value),
        "others": added.others,
        "gained": added.gained,
        "lost": added.lost,
        "not_worse_p": rounded_p(added.not_worse_p(terms)),
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
class _Added:
    """What is known of the intents that are new, and of all others."""

    names: tuple[str, ...]
    n: int
    right: int
    others: int
    gained: int
    lost: int

    def with_asked(self, asked: Asked) -> "_Added":
        """The same with what people said of messages that both take differently."""
        is_new = asked.texts.of_labels(self.names)
        gained, lost = asked.texts.changes(~is_new)
        return replace(
            self,
            n=self.n + int(is_new.sum()),
            right=self.right + int(asked.texts.challenger_right[is_new].sum()),
            others=self.others + asked.stands_for - int(is_new.sum()),
            gained=self.gained + gained,
            lost=self.lost + lost,
        )

    @property
    def p_value(self) -> float:
        """How likely so many right are where none is known better than before."""
        return mcnemar(self.right, 0, better="challenger")

    def not_worse_p(self, terms: ProofTerms) -> float:
        """How likely the others are where they lost the margin."""
        return not_worse(self.gained, self.lost, n=self.others, margin=terms.frozen_margin)

    def is_proven(self, terms: ProofTerms) -> bool:
        """Whether both are unlikely, and half of the texts are right."""
        known = self.p_value <= terms.alpha and 2 * self.right >= self.n
        return known and self.not_worse_p(terms) <= terms.alpha


def _added(evidence: Evidence) -> _Added | None:
    """None without a new intent."""
    before = set(evidence.champion.labels.intent)
    names = tuple(sorted(set(evidence.challenger.labels.intent) - before))
    if not names:
        return None
    texts = evidence.intents
    is_new = texts.of_labels(names)
    gained, lost = texts.changes(~is_new)
    found = _Added(
        names=names,
        n=int(is_new.sum()),
        right=int(texts.challenger_right[is_new].sum()),
        others=int((~is_new).sum()),
        gained=gained,
        lost=lost,
    )
    return found if evidence.asked is None else found.with_asked(evidence.asked)


def _knows_more(evidence: Evidence, terms: ProofTerms) -> bool:
    added = _added(evidence)
    return added is not None and added.is_proven(terms)


def _interval(right: Bools) -> list[float]:
    low, high = wilson(int(right.sum()), len(right))
    return [round(low, 4), round(high, 4)]
