"""Every route of the console and of the agents' API: who may go there and what is on record.

A route that is not in the table fails `test_roles.py`. `record` is the action of the audit row that
a look or a change leaves (`test_records.py`); None: it shows and changes nobody's data, or what it
writes names its author itself, as messages do.
"""

from dataclasses import dataclass, field

from bot.agents import Role

ROLES: tuple[Role, ...] = ("agent", "reviewer", "administrator")
PUBLIC: frozenset[Role | None] = frozenset({None, *ROLES})
EVERYONE: frozenset[Role | None] = frozenset(ROLES)
ACTING: frozenset[Role | None] = frozenset({"agent", "administrator"})
REVIEWING: frozenset[Role | None] = frozenset({"reviewer", "administrator"})
ADMINISTRATORS: frozenset[Role | None] = frozenset({"administrator"})


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the table.

    `form` makes a POST succeed, `query` a GET leave its row; `tested` names the test file that does
    so where more is needed. `spoilt` keeps a POST without ids from doing something.
    """

    roles: frozenset[Role | None]
    record: str | None = None
    form: dict[str, str] | None = field(default=None, kw_only=True)
    query: str = field(default="", kw_only=True)
    tested: str | None = field(default=None, kw_only=True)
    spoilt: dict[str, str] = field(default_factory=dict, kw_only=True)


_CONVERSATION = "/conversations/{conversation_id}"
_PERSON = "/people/{agent_id}"
_TURN = "/review/turns/{turn_id}"
_PROPOSAL = "/review/answers/{proposal_id}"
_CUSTOMER = "/privacy/customers/{conversation_id}"
_RUN = "/learning/runs/{run_id}"
_GROUP = "/learning/unknowns/{cluster_id}"
_REQUEST = "/privacy/requests/{request_id}"

CONSOLE: dict[str, Cell] = {
    "GET ": Cell(PUBLIC),
    "GET /": Cell(PUBLIC),
    "GET /assets/{name}": Cell(PUBLIC),
    "GET /sign-in": Cell(PUBLIC),
    "POST /sign-in": Cell(PUBLIC, "sign_in", tested="test_sign_in.py"),
    "POST /sign-out": Cell(EVERYONE, "sign_out", form={}),
    # One's own
    "GET /password": Cell(EVERYONE),
    "POST /password": Cell(EVERYONE, "password_changed", tested="test_sign_in.py"),
    "POST /password/sessions/end": Cell(EVERYONE, "sessions_ended", form={}),
    "POST /password/sessions/{session_id}/end": Cell(EVERYONE, "sessions_ended", form={}),
    "POST /preferences": Cell(EVERYONE),
    # People
    "GET /people": Cell(ADMINISTRATORS),
    "POST /people": Cell(ADMINISTRATORS, "agent.add", form={"name": "Eve", "role": "agent"}),
    f"GET {_PERSON}": Cell(ADMINISTRATORS, "agent.read"),
    f"POST {_PERSON}/password": Cell(ADMINISTRATORS, "agent.password", form={}),
    f"POST {_PERSON}/remove": Cell(ADMINISTRATORS, "agent.remove", form={}),
    f"POST {_PERSON}/role": Cell(ADMINISTRATORS, "agent.role", form={"role": "reviewer"}),
    f"POST {_PERSON}/sessions/end": Cell(ADMINISTRATORS, "agent.sessions_ended", form={}),
    f"POST {_PERSON}/token": Cell(ADMINISTRATORS, "agent.token", form={}),
    f"POST {_PERSON}/token/revoke": Cell(ADMINISTRATORS, "agent.token_revoked", form={}),
    "GET /audit": Cell(ADMINISTRATORS, "audit.read"),
    "GET /audit.csv": Cell(ADMINISTRATORS, "audit.export"),
    # A conversation
    f"GET {_CONVERSATION}": Cell(EVERYONE, "read_transcript"),
    f"GET {_CONVERSATION}/entries": Cell(EVERYONE, "read_transcript"),
    f"GET {_CONVERSATION}/news": Cell(EVERYONE, "read_transcript"),
    f"GET {_CONVERSATION}/turns/{{turn_id}}/reasons": Cell(EVERYONE, "explain_turn"),
    f"GET {_CONVERSATION}/canned": Cell(ACTING),
    f"GET {_CONVERSATION}/suggestions": Cell(ACTING),
    f"POST {_CONVERSATION}/take": Cell(ACTING, "take", form={}),
    f"POST {_CONVERSATION}/release": Cell(ACTING, "release", form={}),
    f"POST {_CONVERSATION}/assign": Cell(ACTING, "assign", form={"agent_id": "{agent_id}"}),
    f"POST {_CONVERSATION}/transfer": Cell(ACTING, "transfer", form={"agent_id": "{agent_id}"}),
    f"POST {_CONVERSATION}/messages": Cell(ACTING),
    f"POST {_CONVERSATION}/files": Cell(ACTING),
    f"POST {_CONVERSATION}/notes": Cell(ACTING, "note", form={"id": "n-1", "text": "a note"}),
    f"POST {_CONVERSATION}/hand-back": Cell(ACTING, "hand_back", form={"outcome": "resolved"}),
    f"POST {_CONVERSATION}/close": Cell(ACTING, "close", form={}),
    "GET /canned": Cell(EVERYONE),
    "POST /canned": Cell(ACTING),
    "GET /canned/{answer_id}": Cell(ACTING),
    "POST /canned/{answer_id}": Cell(ACTING),
    "POST /canned/{answer_id}/retire": Cell(ACTING),
    # The inbox: a search is on record with its fields, a list (inbox.read) with whom it showed.
    "GET /inbox": Cell(EVERYONE, "inbox.search", query="?q=candle"),
    "POST /inbox/views": Cell(EVERYONE),
    "POST /inbox/views/{view_id}/remove": Cell(EVERYONE),
    # What customers feel
    "GET /voice": Cell(EVERYONE),
    "GET /voice/days.csv": Cell(EVERYONE, "voice.export"),
    "GET /voice/topics.csv": Cell(EVERYONE, "voice.export"),
    "GET /alerts": Cell(EVERYONE, "alerts.read"),
    "GET /alerts/{alert_id}": Cell(EVERYONE, "alert.read", tested="test_voice.py"),
    "POST /alerts/{alert_id}/acknowledge": Cell(
        EVERYONE, "alert.acknowledge", tested="test_voice.py"
    ),
    "POST /alerts/{alert_id}/mute": Cell(REVIEWING, "alert.mute", tested="test_voice.py"),
    "POST /alerts/unmute": Cell(REVIEWING, "alert.unmute", tested="test_voice.py"),
    # Review
    "GET /review": Cell(EVERYONE, "read_turn", tested="test_review*.py"),
    "POST /review/next": Cell(EVERYONE, "read_turn", tested="test_review*.py"),
    "POST /review/undo": Cell(EVERYONE),
    "GET /review/labels": Cell(EVERYONE),
    "GET /review/pairs": Cell(EVERYONE),
    "GET /review/history": Cell(EVERYONE, "read_own_reviews"),
    f"GET {_TURN}": Cell(EVERYONE, "read_turn"),
    f"POST {_TURN}": Cell(EVERYONE, "label_turn", form={"intent": "track_order"}),
    f"POST {_TURN}/skip": Cell(EVERYONE),
    f"GET {_TURN}/settle": Cell(REVIEWING, "read_turn", tested="test_review*.py"),
    f"POST {_TURN}/settle": Cell(REVIEWING, "settle_turn", tested="test_review*.py"),
    "GET /review/agreement": Cell(REVIEWING, "read_disputed"),
    "GET /review/export": Cell(REVIEWING, "export_corrections", query="?format=jsonl"),
    "GET /review/answers": Cell(EVERYONE, "read_proposals"),
    "POST /review/answers": Cell(EVERYONE, "propose_answer", tested="test_review*.py"),
    "GET /review/answers/new": Cell(EVERYONE, "read_turn", query="?turn={turn_id}"),
    f"GET {_PROPOSAL}": Cell(EVERYONE, "read_proposal", tested="test_review*.py"),
    f"POST {_PROPOSAL}": Cell(EVERYONE, "edit_proposal", tested="test_review*.py"),
    f"POST {_PROPOSAL}/approve": Cell(REVIEWING, "approve_proposal", tested="test_review*.py"),
    f"POST {_PROPOSAL}/reject": Cell(REVIEWING, "reject_proposal", tested="test_review*.py"),
    # Answers: the company's own words
    "GET /answers": Cell(EVERYONE),
    "POST /answers": Cell(REVIEWING),
    "GET /answers/new": Cell(REVIEWING),
    "POST /answers/test": Cell(EVERYONE),
    "GET /answers/import": Cell(REVIEWING),
    "POST /answers/import": Cell(REVIEWING, "import_answers", tested="test_answer*.py"),
    "GET /answers/answers.csv": Cell(EVERYONE, "export_answers"),
    "GET /answers/answers.yml": Cell(EVERYONE, "export_answers"),
    "GET /answers/{pair_id}": Cell(EVERYONE),
    "POST /answers/{pair_id}": Cell(REVIEWING),
    "POST /answers/{pair_id}/retire": Cell(REVIEWING, "retire_answer", tested="test_answer*.py"),
    "POST /answers/{pair_id}/restore": Cell(REVIEWING, "restore_answer", tested="test_answer*.py"),
    # Models: no letters are a number of epochs, so that nothing is trained here
    "GET /models": Cell(EVERYONE),
    "GET /models/serving": Cell(EVERYONE),
    "GET /models/compare": Cell(EVERYONE),
    "GET /models/runs": Cell(EVERYONE),
    "POST /models/runs": Cell(
        ADMINISTRATORS, "start_training", tested="test_model*.py", spoilt={"epochs": "x"}
    ),
    "POST /models/runs/{run_id}/cancel": Cell(
        ADMINISTRATORS, "cancel_training", tested="test_model*.py"
    ),
    "GET /models/versions/{version}/promote": Cell(ADMINISTRATORS),
    "POST /models/versions/{version}/promote": Cell(
        ADMINISTRATORS, "promote_model", tested="test_model*.py"
    ),
    # Learning: what holds no words of a customer's is for everyone
    "GET /learning": Cell(EVERYONE),
    "GET /learning/runs": Cell(EVERYONE),
    f"GET {_RUN}": Cell(REVIEWING, "read_learning_run", tested="test_learning*.py"),
    f"GET {_RUN}/proof": Cell(REVIEWING, "read_learning_run", tested="test_learning*.py"),
    "POST /learning/runs": Cell(ADMINISTRATORS, "run_learning", tested="test_learning*.py"),
    f"POST {_RUN}/cancel": Cell(ADMINISTRATORS, "cancel_learning", tested="test_learning*.py"),
    "POST /learning/canary": Cell(ADMINISTRATORS, "start_canary", tested="test_learning*.py"),
    "POST /learning/trial/promote": Cell(
        ADMINISTRATORS, "promote_model", tested="test_learning*.py"
    ),
    "POST /learning/trial/end": Cell(ADMINISTRATORS, "end_trial", tested="test_learning*.py"),
    "POST /learning/roll-back": Cell(ADMINISTRATORS, "roll_back_model", tested="test_learning*.py"),
    "GET /learning/held-back": Cell(REVIEWING, "read_held_back"),
    "POST /learning/held-back": Cell(REVIEWING, "decide_held_back", tested="test_learning*.py"),
    "GET /learning/unknowns": Cell(REVIEWING, "read_unknowns"),
    "GET /learning/unknowns/status": Cell(REVIEWING),
    "POST /learning/unknowns/refresh": Cell(REVIEWING, "group_unknowns", form={}),
    f"GET {_GROUP}": Cell(REVIEWING, "read_unknown", tested="test_learning*.py"),
    f"POST {_GROUP}/name": Cell(REVIEWING, "name_unknown", tested="test_learning*.py"),
    f"POST {_GROUP}/dismiss": Cell(REVIEWING, "dismiss_unknown", tested="test_learning*.py"),
    # Channels
    "GET /channels": Cell(EVERYONE),
    "POST /channels/outbox/retry": Cell(ADMINISTRATORS),
    "POST /channels/outbox/drop": Cell(ADMINISTRATORS),
    # Privacy
    "GET /privacy": Cell(ADMINISTRATORS),
    "POST /privacy/find": Cell(ADMINISTRATORS, "customer.search", form={"text": "nobody"}),
    f"GET {_CUSTOMER}": Cell(ADMINISTRATORS, "customer.read"),
    f"POST {_CUSTOMER}/export": Cell(ADMINISTRATORS, "customer.export", form={}),
    f"POST {_CUSTOMER}/erase": Cell(ADMINISTRATORS, "erasure_request", tested="test_privacy.py"),
    f"GET {_REQUEST}": Cell(ADMINISTRATORS),
    f"GET {_REQUEST}/progress": Cell(ADMINISTRATORS),
    f"GET {_REQUEST}/report.json": Cell(ADMINISTRATORS, "erasure.report", tested="test_privacy.py"),
    "GET /privacy/retention": Cell(ADMINISTRATORS),
    "POST /privacy/retention": Cell(ADMINISTRATORS, "retention_change", tested="test_privacy.py"),
    "POST /privacy/retention/run": Cell(ADMINISTRATORS),
    "GET /privacy/exports": Cell(ADMINISTRATORS),
}

AGENT_API: dict[str, Cell] = {
    "GET /me": Cell(EVERYONE),
    "GET /colleagues": Cell(EVERYONE),
    "GET /conversations": Cell(EVERYONE),
    f"GET {_CONVERSATION}/messages": Cell(EVERYONE, "read_transcript"),
    f"POST {_CONVERSATION}/messages": Cell(ACTING),
    f"POST {_CONVERSATION}/files": Cell(ACTING),
    f"POST {_CONVERSATION}/take": Cell(ACTING),
    f"POST {_CONVERSATION}/release": Cell(ACTING),
    f"POST {_CONVERSATION}/assign": Cell(ACTING),
    f"POST {_CONVERSATION}/transfer": Cell(ACTING),
    f"POST {_CONVERSATION}/typing": Cell(ACTING),
    f"POST {_CONVERSATION}/hand-back": Cell(ACTING),
    f"POST {_CONVERSATION}/close": Cell(ACTING),
}
