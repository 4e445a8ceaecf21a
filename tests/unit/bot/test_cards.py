"""Cards are drawn by the widget and said on platforms; their buttons count as offered."""

from typing import Any

from bot.cards import buttons_under, cards_as_text, cards_of

EXTRA: dict[str, Any] = {
    "custom": {
        "cards": [
            {
                "title": "Tarn tent",
                "subtitle": "2 people, 1.9 kg",
                "image": "https://shop.example/tarn.jpg",
                "buttons": [{"title": "Buy", "payload": '/buy{"id": 1}'}],
            },
            {
                "title": "Skillet",
                "buttons": [{"title": "More", "payload": "/more"}, {"title": "?"}],
            },
        ]
    }
}


def test_cards_are_said_a_paragraph_each() -> None:
    assert cards_as_text(EXTRA) == (
        "Tarn tent\n2 people, 1.9 kg\nhttps://shop.example/tarn.jpg\n\nSkillet"
    )


def test_buttons_of_cards_come_after_the_messages_own() -> None:
    own = [{"title": "Yes", "payload": "/affirm"}]
    assert [one["title"] for one in buttons_under(own, EXTRA)] == ["Yes", "Buy", "More"]


def test_what_has_another_form_is_no_card() -> None:
    for extra in (None, {}, {"custom": []}, {"custom": {"cards": "x"}}, {"custom": {"cards": [1]}}):
        assert cards_of(extra) == []
        assert cards_as_text(extra) == ""
        assert buttons_under(None, extra) == []


async def test_a_cards_button_is_a_payload_and_no_text(running: Any, dialogue: Any) -> None:
    dialogue.reply = lambda body: {
        "replies": [{"custom": EXTRA["custom"], "metadata": {}}]
        if body["text"] == "show me tents"
        else [{"text": "done", "metadata": {}}]
    }
    conversation = await running.converse()
    await conversation.say("1", "show me tents")
    await conversation.say("2", "/more")
    await conversation.say("3", "/more")
    assert [turn["metadata"]["literal"] for turn in dialogue.turns] == [False, False, True]
    shown = (await conversation.messages())["messages"]
    assert [one["title"] for one in shown if one.get("title")] == ["More"]
