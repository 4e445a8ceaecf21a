"""What else may not get worse: labels, calibration, scope, latency, size, behaviour at large."""

from collections.abc import Mapping
from statistics import median

from bot.learning.proof.bootstrap import Resampling
from bot.learning.proof.evidence import Evidence
from bot.learning.proof.reason import Level, Reason
from bot.learning.proof.statistics import areas, calibration_error, mcnemar, reliability
from bot.learning.proof.terms import ProofTerms
from nlu.labels import HEADS

Found = list[Reason]
_CALLED = {"intent": "intents", "emotion": "emotions", "tags": "entity tags"}
_FLOAT, _INT8 = "cpu", "cpu-int8"
_FEW_OUTSIDE = 30


def labels(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """Rules and stories name the labels: none may be gone."""
    before, after = evidence.champion.labels, evidence.challenger.labels
    gone = {head: sorted(set(before.of(head)) - set(after.of(head))) for head in HEADS}
    added = {head: sorted(set(after.of(head)) - set(before.of(head))) for head in HEADS}
    figures = {
        "gone": {head: names for head, names in gone.items() if names},
        "added": {head: names for head, names in added.items() if names},
    }
    if any(gone.values()):
        lists = "; ".join(
            f"{_CALLED[head]}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            for head, names in gone.items()
            if names
        )
        sentence = f"The challenger does not know what the champion knows ({lists})."
        return [Reason(name="labels", level="refuse", sentence=sentence, figures=figures)]
    new = len(added["intent"])
    sentence = f"All {len(before.intent)} intents are still known" + (
        f", {new} are new." if new else "."
    )
    return [Reason(name="labels", level="pass", sentence=sentence, figures=figures)]


def calibration(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """The fallback, the handoff and the review queue go by confidences: they must mean the same."""
    texts = evidence.intents
    if texts.n == 0:
        return []
    before = calibration_error(reliability(texts.champion_confidence, texts.champion_right))
    after = calibration_error(reliability(texts.challenger_confidence, texts.challenger_right))
    is_worse = after - before > terms.calibration_worse
    figures = {
        "champion": round(before, 4),
        "challenger": round(after, 4),
        "bound": terms.calibration_worse,
    }
    sentence = (
        f"Calibration error {before:.3f} before, {after:.3f} after; it may grow by "
        f"{terms.calibration_worse:g}."
    )
    return [_bounded("calibration", sentence, figures, is_worse=is_worse)]


def out_of_scope(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """Whether what the bot cannot do is still told from what it can.

    A drop counts where it is larger than the bound and than chance.
    """
    pairs = evidence.scope
    n = 0 if pairs is None else len(pairs.outside[0])
    if pairs is None or n == 0:
        sentence = (
            "Out-of-scope detection was not measured: no test text is out of scope; add some with "
            "the intent out_of_scope to test/nlu.yml."
        )
        return [Reason(name="out_of_scope", level="note", sentence=sentence)]
    before, after = (int(side.sum()) for side in pairs.turned_away)
    gained = int((pairs.turned_away[1] & ~pairs.turned_away[0]).sum())
    lost = int((pairs.turned_away[0] & ~pairs.turned_away[1]).sum())
    p_value = mcnemar(gained, lost, better="champion", mid=True)
    share_worse = (before - after) / n > terms.turned_away_worse and p_value <= terms.loss_alpha
    figures = {
        "n": n,
        "turned_away": [round(before / n, 4), round(after / n, 4)],
        "turned_away_bound": terms.turned_away_worse,
        "turned_away_p": float(f"{p_value:.3g}"),
        "auroc_bound": terms.auroc_worse,
    }
    said = f"Of {n} texts out of scope {before} were turned away before, {after} after"
    # Sure to be in scope is the wrong way round: low for what is outside.
    found = areas((-pairs.outside[0], -pairs.inside[0]), (-pairs.outside[1], -pairs.inside[1]))
    area_worse = False
    if found is not None:
        area_worse = (
            found.champion - found.challenger > terms.auroc_worse
            and found.worse_p <= terms.loss_alpha
        )
        figures["auroc"] = [round(found.champion, 4), round(found.challenger, 4)]
        figures["auroc_p"] = float(f"{found.worse_p:.3g}")
        said += f"; AUROC {found.champion:.3f} before, {found.challenger:.3f} after"
    if n < _FEW_OUTSIDE:
        said += f" (with fewer than {_FEW_OUTSIDE} texts only a large loss shows)"
    return [_bounded("out_of_scope", f"{said}.", figures, is_worse=share_worse or area_worse)]


def latency(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """A better answer that comes late is no better."""
    before, after = evidence.champion.latency_ms, evidence.challenger.latency_ms
    if not before or not after:
        sentence = "Latency was not measured: there were no texts to time."
        return [Reason(name="latency", level="note", sentence=sentence)]
    ratio = median(after) / median(before)
    figures = {
        "champion_ms": round(median(before), 3),
        "challenger_ms": round(median(after), 3),
        "ratio": round(ratio, 3),
        "bound": terms.latency_ratio,
        "n": len(before),
    }
    sentence = (
        f"One text takes {median(before):.1f} ms of a processor before, {median(after):.1f} after "
        f"(medians, interleaved): {ratio:.2f} times as long, {terms.latency_ratio:g} at most."
    )
    return [_bounded("latency", sentence, figures, is_worse=ratio > terms.latency_ratio)]


def size(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """Memory and disks are bought for the size there is."""
    before, after = evidence.champion.size_bytes, evidence.challenger.size_bytes
    if before <= 0:
        return []
    ratio = after / before
    figures = {
        "champion_bytes": before,
        "challenger_bytes": after,
        "ratio": round(ratio, 3),
        "bound": terms.size_ratio,
    }
    sentence = (
        f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after: {ratio:.2f} times as large, "
        f"{terms.size_ratio:g} at most."
    )
    return [_bounded("size", sentence, figures, is_worse=ratio > terms.size_ratio)]


def mode(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """An int8 graph that cost too much accuracy is not used: then a CPU answers fewer messages."""
    before, after = evidence.champion.mode, evidence.challenger.mode
    figures = {"champion": before, "challenger": after}
    if before == _INT8 and after == _FLOAT:
        sentence = (
            "The champion runs in int8, the challenger fell back to float32: it answers about half "
            "as many messages on a CPU."
        )
        return [Reason(name="mode", level="refuse", sentence=sentence, figures=figures)]
    sentence = f"It runs as {after}, as {before} before."
    return [Reason(name="mode", level="pass", sentence=sentence, figures=figures)]


def shadow(evidence: Evidence, terms: ProofTerms, how: Resampling) -> Found:
    """Where much of what customers really write is taken otherwise, a person is to look."""
    turns, changed = evidence.shadow_turns, evidence.shadow_changed
    if turns == 0:
        sentence = "The challenger was not tried on real messages: the log has none."
        return [Reason(name="shadow", level="note", sentence=sentence)]
    share = changed / turns
    figures = {
        "turns": turns,
        "changed": changed,
        "share": round(share, 4),
        "bound": terms.shadow_changed,
    }
    much = share > terms.shadow_changed and turns >= terms.shadow_least
    said = "."
    if much and evidence.asked is not None:
        gained, lost = evidence.asked.texts.changes()
        much = gained < lost
        said = f": more than {terms.shadow_changed:.0%}, and people have read some of them."
    if much:
        said = f": more than {terms.shadow_changed:.0%}, so read them first."
    sentence = (
        f"Of the last {turns} real messages {changed} ({share:.1%}) would be taken otherwise{said}"
    )
    level: Level = "hold" if much else "pass"
    return [Reason(name="shadow", level=level, sentence=sentence, figures=figures)]


def _bounded(name: str, sentence: str, figures: Mapping[str, object], *, is_worse: bool) -> Reason:
    level: Level = "refuse" if is_worse else "pass"
    return Reason(name=name, level=level, sentence=sentence, figures=dict(figures))
