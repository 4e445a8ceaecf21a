"""Whether the challenger gets less right than the champion: over all and in parts."""

from collections.abc import Sequence
from dataclasses import replace

from bot.learning.proof import bootstrap
from bot.learning.proof.bootstrap import Resampling
from bot.learning.proof.evidence import Bools, Evidence, Paired
from bot.learning.proof.reason import GAINED, LOST, Level, Reason, rounded_p, shown_p
from bot.learning.proof.statistics import mcnemar, not_worse
from bot.learning.proof.terms import ProofTerms

Found = list[Reason]
# Fewer texts say nothing of how hard a set is; so much harder is no accident.
_FEW = 30
_HARDER = 0.1


def loss(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """A loss over all texts that chance does not explain.

    Of intents that the champion does not know nothing can be lost: what is gained there makes up
    for no loss elsewhere.
    """
    texts = evidence.intents
    known = texts.of_labels(evidence.champion.labels.intent)
    where = "all texts" if known.all() else "all texts of intents that the champion knows"
    return _loss_within("loss", where, texts, known, terms.loss_alpha)


def frozen(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """What was known must stay known: no loss on the frozen set, whatever the new data bring.

    Where it shows one that may be chance, what people said of real messages of known intents is
    counted with it.
    """
    texts = evidence.intents
    within = texts.frozen
    n = int(within.sum())
    found = _loss_within("frozen", "the frozen test set", texts, within, terms.side_alpha)
    if n == 0:
        return found
    # Which they are: what the next versions gain and lose is put together with it.
    gained_at, lost_at = texts.flips(within)
    figures = found[0].figures | {GAINED: gained_at, LOST: lost_at}
    found = [replace(found[0], figures=figures)]
    gained, lost = len(gained_at), len(lost_at)
    if found[0].level == "refuse" or gained >= lost:
        return found
    where = "On the frozen test set"
    if evidence.asked is not None:
        more = evidence.asked.of_known(evidence.champion.labels.intent)
        n, gained, lost = n + more[0], gained + more[1], lost + more[2]
        where += " and the messages that people were asked about"
    p_value = not_worse(gained, lost, n=n, margin=terms.frozen_margin)
    if p_value <= terms.alpha:
        return found
    points = 100 * terms.frozen_margin
    sentence = (
        f"{where} {lost} texts were lost and {gained} gained, and a loss of {points:g} points is "
        f"not ruled out (Tango: p = {shown_p(p_value)}, {terms.alpha:g} at most)."
    )
    figures |= {"margin": terms.frozen_margin, "not_worse_p": rounded_p(p_value)}
    return [Reason(name="frozen", level="hold", sentence=sentence, figures=figures)]


def new_data(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """No loss on what came in lately, either."""
    texts = evidence.intents
    found = _loss_within("new_data", "the new data", texts, ~texts.frozen, terms.side_alpha)
    return found + _selection(texts, evidence.champion.labels.intent)


def _selection(texts: Paired, known: Sequence[str]) -> Found:
    """A warning where the new texts were picked by the champion's mistakes.

    On these any other version looks better, by regression to the mean.
    """
    is_known = texts.of_labels(known)
    old, new = texts.frozen & is_known, ~texts.frozen & is_known
    if min(old.sum(), new.sum()) < _FEW:
        return []
    right = texts.champion_right
    usual, here = float(right[old].mean()), float(right[new].mean())
    if usual - here <= _HARDER:
        return []
    sentence = (
        f"The champion has {here:.0%} of the new data right and {usual:.0%} of the frozen set, so "
        "the new data were picked where it is in doubt: of a gain there some is chance. Go by the "
        "frozen set, or let the review queue draw more turns by lot."
    )
    figures = {"champion_on_new": round(here, 4), "champion_on_frozen": round(usual, 4)}
    return [Reason(name="selection", level="note", sentence=sentence, figures=figures)]


def macro(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """Intents count alike here: rare ones must not pay for the common ones."""
    return _macro("macro_f1", "the intents", evidence.intents, terms, how)


def emotions(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """The emotion head is learned by the same training, and must not pay for the intents."""
    if evidence.emotions is None or evidence.emotions.n == 0:
        return [_unmeasured("emotion_f1", "emotions", "test/emotion.csv")]
    return _macro("emotion_f1", "the emotions", evidence.emotions, terms, how)


def spans(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """So with the entities."""
    pairs = evidence.spans
    if pairs is None or not pairs.champion[:, 2].any():
        return [_unmeasured("entity_f1", "entities", "test/nlu.yml")]
    change = bootstrap.span_f1(pairs.champion, pairs.challenger, how)
    return [_worse("entity_f1", "F1 of the entities", change, terms)]


def protected(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """An intent that the company protects may lose nothing at all."""
    return [
        _protected(evidence.intents, name, least) for name, least in sorted(terms.protected.items())
    ]


def _protected(texts: Paired, intent: str, least: float) -> Reason:
    name = f"protected.{intent}"
    within = texts.of_label(intent)
    n = int(within.sum())
    if n == 0:
        sentence = (
            f"No test text has the protected intent {intent}, so nobody can tell what became of "
            "it; add texts, or correct KEFU_LEARN_PROTECTED."
        )
        return Reason(name=name, level="hold", sentence=sentence, figures={"n": 0})
    gained, lost = texts.changes(within)
    before = int(texts.champion_right[within].sum())
    after = int(texts.challenger_right[within].sum())
    figures = {
        "n": n,
        "gained": gained,
        "lost": lost,
        "champion": round(before / n, 4),
        "challenger": round(after / n, 4),
        "least": least,
    }
    said = f"Of {n} texts with the protected intent {intent} the challenger has {after} right"
    if after < before:
        return Reason(
            name=name,
            level="refuse",
            sentence=f"{said}, the champion {before}: none may be lost.",
            figures=figures,
        )
    if after / n < least:
        # To refuse it would keep what is no better: below the floor, too.
        sentence = (
            f"{said}, which is less than {least:.0%}; the champion has no more ({before}), so it "
            "is for a person to decide."
        )
        return Reason(name=name, level="hold", sentence=sentence, figures=figures)
    sentence = f"{said}, the champion {before}; {least:.0%} are wanted."
    return Reason(name=name, level="pass", sentence=sentence, figures=figures)


def _loss_within(name: str, where: str, texts: Paired, within: Bools | None, alpha: float) -> Found:
    n = texts.n if within is None else int(within.sum())
    if n == 0:
        return [Reason(name=name, level="note", sentence=f"There are no texts for {where}.")]
    gained, lost = texts.changes(within)
    p_value = mcnemar(gained, lost, better="champion", mid=True)
    before, after = texts.champion_right, texts.challenger_right
    if within is not None:
        before, after = before[within], after[within]
    figures = {
        "n": n,
        "gained": gained,
        "lost": lost,
        "champion": round(float(before.mean()), 4),
        "challenger": round(float(after.mean()), 4),
        "worse_p": rounded_p(p_value),
    }
    if p_value <= alpha:
        sentence = (
            f"A loss on {where}: of {n}, {lost} were lost and {gained} gained (McNemar, mid-p: "
            f"p = {shown_p(p_value)}, where {alpha:g} or less is a loss)."
        )
        return [Reason(name=name, level="refuse", sentence=sentence, figures=figures)]
    sentence = (
        f"No loss shows on {where}: accuracy {before.mean():.1%} before, {after.mean():.1%} after, "
        f"of {n}."
    )
    return [Reason(name=name, level="pass", sentence=sentence, figures=figures)]


def _macro(name: str, of: str, texts: Paired, terms: ProofTerms, how: Resampling) -> Found:
    if texts.n == 0:
        return []
    change = bootstrap.macro_f1(texts.truth, texts.champion, texts.challenger, how)
    return [_worse(name, f"macro-F1 of {of}", change, terms)]


def _worse(name: str, what: str, change: bootstrap.Difference, terms: ProofTerms) -> Reason:
    is_worse = change.delta < 0 and change.no_loss <= terms.side_alpha
    level: Level = "refuse" if is_worse else "pass"
    said = "is worse" if is_worse else "is not worse"
    sentence = (
        f"The {what} {said}: {change.champion:.3f} before, {change.challenger:.3f} after "
        f"(difference {change.low:+.3f} to {change.high:+.3f})."
    )
    return Reason(name=name, level=level, sentence=sentence, figures=change.as_json())


def _unmeasured(name: str, what: str, where: str) -> Reason:
    sentence = f"The {what} were not measured: no test text names any; add some to {where}."
    return Reason(name=name, level="note", sentence=sentence)
