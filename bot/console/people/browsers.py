"""A browser's name from its User-Agent header, to tell one's own sessions apart by."""

import re

# The first that fits counts: most browsers also call themselves by the names of others.
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/(\d+)")),
    ("Opera", re.compile(r"\bOPR/(\d+)")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/(\d+)")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d+)")),
    ("WeChat", re.compile(r"\bMicroMessenger/(\d+)")),
    ("Chrome", re.compile(r"\b(?:HeadlessChrome|Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"\bVersion/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/")),
)
_SYSTEMS = (
    ("iPad", "iPad"),
    ("iPhone", "iPhone"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_MAX_UNKNOWN_CHARS = 40


def browser_name(user_agent: str) -> str:
    """Such as `Firefox 140, Linux`; what is none of the known ones, shortened."""
    for name, pattern in _BROWSERS:
        found = pattern.search(user_agent)
        if found is not None:
            system = next((shown for sign, shown in _SYSTEMS if sign in user_agent), None)
            return f"{name} {found[1]}" + (f", {system}" if system else "")
    return user_agent[:_MAX_UNKNOWN_CHARS] or "–"
