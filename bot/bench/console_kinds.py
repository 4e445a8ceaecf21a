"""What is asked of the inbox while it is measured: pages, filters, several at once, searches."""

from datetime import datetime, timedelta

from bot.console.inbox.places import write_place
from bot.log.inbox_pages import OTHERS, Place

Fields = dict[str, str]


def kinds(now: datetime, versions: list[str]) -> dict[str, Fields]:
    """By name: the fields of the inbox's address. `versions` are the seeded models', oldest first.

    `now` is the end of what was seeded: 90 days.
    """
    old, new = versions[0], versions[-1]

    def day(ago: int) -> str:
        return (now - timedelta(days=ago)).date().isoformat()

    far = write_place(Place(part=OTHERS, rank=0, moment=now - timedelta(days=80), id="z"))
    return {
        "first page": {},
        "a page 80 days back": {"after": far},
        "the page before it": {"before": far},
        "intent, common": {"intent": "track_order"},
        "intent, rare": {"intent": "ask_price_match"},
        "intent, unknown": {"intent": "unheard_of"},
        "emotion": {"emotion": "angry"},
        "confidence": {"below": "0.30"},
        "fallback": {"fallback": "yes"},
        "no fallback": {"fallback": "no"},
        "model version, old": {"model": old},
        "model version, new": {"model": new},
        "handoff, a reason": {"handoff": "emotion"},
        "handoff, never": {"handoff": "none"},
        "rating": {"rating": "1"},
        "channel": {"channel": "slack"},
        "language": {"language": "zh"},
        "date range": {"from": day(60), "to": day(59)},
        "unanswered": {"unanswered": "yes"},
        "reviewed": {"reviewed": "yes"},
        "status closed": {"status": "closed"},
        "waiting": {"status": "waiting"},
        "assignee": {"assignee": "seed-agent-1"},
        "nobody's": {"assignee": "nobody"},
        "two, common": {"intent": "track_order", "emotion": "angry"},
        "two, seldom together": {"intent": "praise", "emotion": "angry"},
        "two, never together": {"model": old, "from": day(20)},
        "three, old model": {"model": old, "emotion": "angry", "rating": "2"},
        "four, rare": {"model": old, "emotion": "angry", "below": "0.20", "reviewed": "yes"},
        "four, next to none": {
            "emotion": "happy",
            "handoff": "emotion",
            "rating": "1",
            "unanswered": "yes",
        },
        "five, none": {
            "intent": "ask_human",
            "handoff": "none",
            "rating": "1",
            "channel": "slack",
            "language": "zh",
        },
        "80 days back, angry": {"after": far, "emotion": "angry"},
        "search, common word": {"q": "order"},
        "search, rare word": {"q": "albatross"},
        "search, no hit": {"q": "nothinglikethis"},
        "search, two words": {"q": "order refund"},
        "search, beginning": {"q": "refund*"},
        "search, Chinese": {"q": "退款"},
        "search, Chinese sentence": {"q": "退款什么时候到账"},
        "search, one character": {"q": "我"},
        "search, 80 days back": {"q": "order", "after": far},
        "search, and emotion": {"q": "order", "emotion": "angry"},
        "search, and old model": {"q": "order", "model": old},
        "search, and rare filters": {"q": "order", "channel": "slack", "rating": "1"},
        "search, never together": {"q": "退款", "language": "fr"},
    }


# Those whose plans the documentation shows.
SHOWN = (
    "first page",
    "a page 80 days back",
    "intent, rare",
    "emotion",
    "model version, old",
    "two, seldom together",
    "four, next to none",
    "search, common word",
    "search, rare word",
    "search, Chinese",
    "search, and emotion",
)
