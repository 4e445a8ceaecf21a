"""Templates and words: nothing unescaped, nothing inline, no word missing in either language."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from bot.console.templating import open_templates
from bot.console.words import Words, catalogue, choose_locale

CONSOLE = Path(__file__).parents[4] / "bot" / "console"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
SOURCES = [*TEMPLATES, *sorted(CONSOLE.rglob("*.py"))]
# A key built from a value, such as t("shared.role." + role), is asked for by its start.
KEY = re.compile(r"""\b(?:t|words)\(\s*["']([a-z_]+\.[a-z0-9_.]*)["']\s*([+~,)])""")
FORBIDDEN = {
    "a value that is not escaped": r"\|\s*safe\b|Markup\(|autoescape false",
    "a script within the page": r"<script(?![^>]*\bsrc=)",
    "a style within the page": r"\sstyle=|<style",
    "a handler within the page": r"\s(?:on[a-z]+|hx-on[:a-z-]*)=",
}


@pytest.fixture(scope="module")
def environment() -> Environment:
    return open_templates()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_sound_and_holds_nothing_that_the_policy_refuses(
    path: Path, environment: Environment
) -> None:
    text = path.read_text("utf-8")
    environment.parse(text)
    assert [what for what, shape in FORBIDDEN.items() if re.search(shape, text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_posts_has_its_token(path: Path) -> None:
    for form in re.findall(r"<form\b.*?</form>", path.read_text("utf-8"), re.DOTALL):
        if 'method="post"' in form.split(">")[0] and "/console/sign-in" not in form:
            assert "csrf_field()" in form, form[:200]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_word_asked_for_is_there(path: Path) -> None:
    missing = []
    for key, after in KEY.findall(path.read_text("utf-8")):
        known = (
            any(one.startswith(key) for one in catalogue()) if after in "+~" else key in catalogue()
        )
        if not known:
            missing.append(key)
    assert missing == []


def test_each_key_has_the_same_placeholders_in_both_languages() -> None:
    for key, texts in catalogue().items():
        names = {locale: set(re.findall(r"\{(\w+)", text)) for locale, text in texts.items()}
        assert names["en"] == names["zh"], key


def test_words_of_the_data_fall_back_to_the_name_itself() -> None:
    words = Words("zh")
    assert words.of("shared.emotion", "angry") == "愤怒"
    assert words.of("shared.emotion", "of_our_own") == "of our own"
    assert words.of("shared.emotion", None) == "–"
    assert Words("en")("shared.pages") == "Pages"


@pytest.mark.parametrize(
    ("preferred", "header", "locale"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr-FR,de;q=0.8,en;q=0.5,zh;q=0.1", "en"),
        ("zh", "en", "zh"),
        (None, "", "en"),
        (None, "de", "en"),
        ("nonsense", "zh", "zh"),
    ],
)
def test_the_language_follows_the_person_then_the_browser(
    preferred: str | None, header: str, locale: str
) -> None:
    assert choose_locale(preferred, header) == locale
