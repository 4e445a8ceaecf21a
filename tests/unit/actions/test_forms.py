"""Form validation and the jobs at the end of the forms."""

import pytest

from actions.orders.forms import form_validations
from actions.orders.jobs import order_actions


@pytest.fixture
def forms(desk):
    return {form.name(): form for form in form_validations(desk)}


@pytest.fixture
def jobs(desk, people):
    return {action.name(): action for action in order_actions(desk, people)}


async def test_a_number_is_normalised(forms, run, form_tracker) -> None:
    heard = await run(
        forms["validate_track_order_form"], form_tracker({}, {"order_number": "hp 482 913"})
    )
    assert heard.slots == {"order_number": "HP-482913"}
    assert heard.messages == []


@pytest.mark.parametrize(
    ("said", "answer"), [("HP-999999", "can't find an order"), ("I lost it", "six digits")]
)
async def test_an_unknown_number_is_asked_for_again(
    forms, run, form_tracker, said: str, answer: str
) -> None:
    heard = await run(forms["validate_track_order_form"], form_tracker({}, {"order_number": said}))
    assert heard.slots == {"order_number": None, "failures": 1}
    assert answer in heard.text


async def test_the_email_must_be_the_orders_whatever_its_case(forms, run, form_tracker) -> None:
    form = forms["validate_track_order_form"]
    good = await run(
        form, form_tracker({"order_number": "HP-204418"}, {"email": "it is JO@Mail.example"})
    )
    wrong = await run(
        form, form_tracker({"order_number": "HP-204418"}, {"email": "maya.ellis@mail.example"})
    )
    assert good.slots == {"email": "jo@mail.example"}
    assert wrong.slots == {"email": None, "failures": 1}
    assert "jo@" not in wrong.text.lower()


async def test_both_at_once_are_checked_together(forms, run, form_tracker) -> None:
    heard = await run(
        forms["validate_track_order_form"],
        form_tracker({}, {"email": "jo@mail.example", "order_number": "204418"}),
    )
    assert heard.slots == {"order_number": "HP-204418", "email": "jo@mail.example"}


async def test_the_email_of_another_order_is_asked_for_again(forms, run, form_tracker) -> None:
    heard = await run(
        forms["validate_track_order_form"],
        form_tracker({"email": "jo@mail.example"}, {"order_number": "HP-482913"}),
    )
    assert heard.slots == {"order_number": "HP-482913", "email": None}
    assert heard.messages == []


async def test_the_third_bad_try_ends_the_form(forms, jobs, run, form_tracker, tracker) -> None:
    heard = await run(
        forms["validate_track_order_form"],
        form_tracker({"failures": 2.0}, {"order_number": "no idea"}),
    )
    assert heard.slots["failures"] == 3
    assert heard.slots["requested_slot"] is None
    after = await run(jobs["action_track_order"], tracker("no idea", slots={"failures": 3.0}))
    assert after.metadata("handoff") == {"reason": "repeated_failure"}
    assert after.slots == {"handoff": "waiting", "failures": 0}


async def test_no_more_is_asked_when_the_rules_forbid_it(forms, run, form_tracker) -> None:
    packed = form_tracker({"order_number": "HP-118540"}, {"email": "priya.nair@post.example"})
    for form in ("validate_cancel_order_form", "validate_change_address_form"):
        assert (await run(forms[form], packed)).slots["requested_slot"] is None
    assert "requested_slot" not in (await run(forms["validate_track_order_form"], packed)).slots
    old = form_tracker({"order_number": "HP-267734"}, {"email": "marcus.bell@inbox.example"})
    assert (await run(forms["validate_return_order_form"], old)).slots["requested_slot"] is None


async def test_other_slots_pass_as_they_are(forms, run, form_tracker) -> None:
    known = {"order_number": "HP-310277", "email": "tom.barker@mail.example"}
    heard = await run(
        forms["validate_cancel_order_form"], form_tracker(known, {"cancel_confirmed": False})
    )
    assert heard.slots == {"cancel_confirmed": False}


async def test_an_address_is_tidied_or_refused(forms, run, form_tracker) -> None:
    form = forms["validate_change_address_form"]
    good = await run(form, form_tracker({}, {"new_address": " 1 New  Road, Bath BA1 1AA "}))
    bad = await run(form, form_tracker({}, {"new_address": "to my mum"}))
    assert good.slots == {"new_address": "1 New Road, Bath BA1 1AA"}
    assert bad.slots["new_address"] is None


def _known(number: str, email: str, **more):
    return {"order_number": number, "email": email, **more}


async def test_a_late_parcel_is_admitted(jobs, run, tracker) -> None:
    heard = await run(
        jobs["action_track_order"],
        tracker("where is it", slots=_known("HP-482913", "maya.ellis@mail.example")),
    )
    assert "late" in heard.text
    assert "RM714402938GB" in heard.text
    assert heard.slots["failures"] == 0


async def test_a_lost_parcel_goes_to_a_person(jobs, run, tracker) -> None:
    heard = await run(
        jobs["action_track_order"],
        tracker("where is it", slots=_known("HP-539327", "simon.webb@inbox.example")),
    )
    assert heard.metadata("handoff") == {"reason": "business_rule"}


async def test_nobody_sees_an_order_with_anothers_email(jobs, run, tracker) -> None:
    heard = await run(
        jobs["action_track_order"],
        tracker("where is it", slots=_known("HP-482913", "jo@mail.example")),
    )
    assert "HP-482913" not in heard.text


async def test_a_no_leaves_the_order(jobs, run, tracker, desk) -> None:
    known = _known("HP-310277", "tom.barker@mail.example", cancel_confirmed=False)
    heard = await run(jobs["action_cancel_order"], tracker("no", "deny", slots=known))
    assert "stays as it is" in heard.text
    assert (await desk.find("HP-310277")).status == "placed"


async def test_the_same_message_twice_cancels_once_and_says_the_same(
    jobs, run, tracker, desk
) -> None:
    known = _known("HP-310277", "tom.barker@mail.example", cancel_confirmed=True)
    said = tracker("yes", "affirm", slots=known, message_id="m-7")
    first = await run(jobs["action_cancel_order"], said)
    again = await run(jobs["action_cancel_order"], said)
    assert first.text == again.text
    assert "cancelled" in first.text
    assert (await desk.find("HP-310277")).status == "cancelled"


async def test_return_and_address_jobs_do_their_work(jobs, run, tracker, desk) -> None:
    back = _known("HP-204418", "jo@mail.example", return_reason="zip broke", return_confirmed=True)
    moved = _known(
        "HP-763428",
        "tara.singh@mail.example",
        new_address="1 New Road, Bath BA1 1AA",
        address_confirmed=True,
    )
    assert "registered" in (await run(jobs["action_return_order"], tracker("y", slots=back))).text
    assert "New Road" in (await run(jobs["action_change_address"], tracker("y", slots=moved))).text
    assert (await desk.find("HP-204418")).status == "return_registered"
    assert (await desk.find("HP-763428")).address.startswith("1 New Road")


async def test_an_angry_customer_gets_a_kind_word_once(jobs, run, tracker) -> None:
    known = _known("HP-650021", "oliver.grant@mail.example")
    parse = {"emotion": {"name": "angry"}}
    first = tracker("where!", slots=known, emotion="angry")
    before = [
        {"event": "user", "parse_data": parse},
        {"event": "user", "parse_data": parse},
    ]
    still = tracker("where!", slots=known, emotion="angry", events=before)
    calm = await run(jobs["action_track_order"], tracker("where", slots=known))
    assert (await run(jobs["action_track_order"], first)).text.endswith(calm.text)
    assert (await run(jobs["action_track_order"], first)).text != calm.text
    assert (await run(jobs["action_track_order"], still)).text == calm.text


async def test_reset_empties_only_what_is_set(jobs, run, tracker) -> None:
    slots = {"order_number": "HP-1", "email": None, "failures": 1.0}
    heard = await run(jobs["action_reset_order_slots"], tracker(slots=slots))
    assert heard.slots == {"order_number": None}
