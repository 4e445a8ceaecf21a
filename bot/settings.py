"""The one Settings class of kefu: every setting of every process, `KEFU_` variables or `.env`."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from actions.settings import ActionSettings
from nlu.settings import NluSettings

Access = Literal["loopback", "on", "off"]


class Settings(ActionSettings, NluSettings):
    """All settings. Environment variables are the field names in capitals after `KEFU_`."""

    host: str = Field("127.0.0.1", description="Address the gateway binds.")
    port: int = Field(8080, description="Port the gateway listens on.")
    state_dir: Path = Field(
        Path(".kefu"), description="Folder of the database, the logs and the token secret."
    )
    dialogue_port: int = Field(5005, description="Port the dialogue process (Rasa) listens on.")
    dialogue_url: str = Field(
        "http://127.0.0.1:5005", description="Base address of the dialogue process."
    )
    actions_url: str = Field(
        "http://127.0.0.1:5055", description="Base address of the action server."
    )
    secrets_dir: Path | None = Field(
        None,
        description="Folder of files that hold settings, named like the variable in lower case "
        "(`kefu_token_secret`); read from the environment only.",
    )
    token_secret: SecretStr | None = Field(
        None,
        description="Key that signs conversation tokens; unset, one is made and kept in the state "
        "folder.",
    )
    token_secrets_previous: list[SecretStr] = Field(
        [],
        description="Earlier values of the key, whose tokens still pass until they expire (JSON "
        "list).",
    )
    token_days: float = Field(
        30.0, gt=0, description="Days a conversation token is good for, from its issue."
    )
    public_url: str | None = Field(
        None,
        description="Address under which customers reach the gateway, such as "
        "`https://chat.shop.example`; needed behind a TLS proxy.",
    )
    allowed_origins: list[str] = Field(
        [],
        description="Web sites whose pages may use the gateway, such as `https://shop.example` "
        "(JSON list); its own address always may.",
    )
    frame_ancestors: list[str] = Field(
        [],
        description="Sites that may show the chat in a frame besides `KEFU_ALLOWED_ORIGINS` and "
        'its own (JSON list of origins); `["*"]` lets any.',
    )
    trusted_proxies: list[str] = Field(
        [],
        description="Networks of your reverse proxies, such as `10.0.0.0/8` (JSON list): only "
        "their word about a client's address and scheme is taken.",
    )
    identity_secret: SecretStr | None = Field(
        None,
        description="Key shared with your site's server: it signs who a logged-in customer is "
        "(HMAC-SHA256, or JWT with HS256).",
    )
    identity_public_key_file: Path | None = Field(
        None,
        description="PEM file of the public key that checks identity JWTs: RS256 for an RSA key, "
        "ES256 for a P-256 key.",
    )
    identity_audience: str | None = Field(
        None, description="What `aud` of an identity JWT must be; unset, a JWT must have none."
    )
    identity_issuer: str | None = Field(
        None, description="What `iss` of an identity JWT must be; unset, it is not looked at."
    )
    identity_required: bool = Field(
        False, description="Whether customers must be logged in to start a conversation."
    )
    rate_api_per_min: int = Field(
        3000, gt=0, description="Requests to `/api/v1` a minute from one address (IPv6: one /64)."
    )
    rate_open_per_min: int = Field(
        30, gt=0, description="Conversations started a minute from one address."
    )
    rate_upload_per_min: int = Field(20, gt=0, description="Files sent a minute from one address.")
    rate_customer_per_min: int = Field(
        60, gt=0, description="Messages and other changes a minute of one customer, on any channel."
    )
    rate_channel_per_min: int = Field(
        60_000, gt=0, description="Messages a minute of all customers of one channel together."
    )
    rate_refused_per_min: int = Field(
        60,
        gt=0,
        description="Forged signatures and tokens a minute from one address that are told what is "
        "wrong; beyond, 429.",
    )
    rate_sign_in_per_min: int = Field(
        20,
        gt=0,
        description="Wrong passwords a minute from one address, at the console's sign-in; this "
        "machine's clients are counted too.",
    )
    console_idle_min: float = Field(
        60.0, gt=0, description="Minutes without a click after which the console signs one out."
    )
    console_session_h: float = Field(
        12.0, gt=0, description="Hours after which the console asks for the password again."
    )
    rate_loopback: bool = Field(
        False,
        description="Whether clients on the gateway's machine, not through a proxy, are limited "
        "too.",
    )

    rasa_python: Path = Field(
        Path(".venv-rasa/bin/python"), description="The Python 3.10 that has Rasa installed."
    )
    drain_timeout_s: float = Field(
        30.0, gt=0, description="Seconds a stopping process may take to finish what it accepted."
    )

    max_text_chars: int = Field(
        4000, gt=0, description="Longest message of a customer, in characters; longer ones get 413."
    )
    max_sockets_per_address: int = Field(
        256,
        gt=0,
        description="Open sockets of one address (IPv6: one /64); an office behind one address "
        "shares them.",
    )
    rasa_socket: bool = Field(
        True,
        description="Whether widgets made for Rasa's Socket.IO channel are served at "
        "`/socket.io/`.",
    )
    max_file_bytes: int = Field(
        5_000_000, gt=0, description="Largest file of a customer, in bytes; larger ones get 413."
    )
    max_files: int = Field(20, gt=0, description="Files that one conversation keeps.")
    max_files_bytes: int = Field(
        25_000_000, gt=0, description="What the files of one conversation may take, in bytes."
    )
    wait_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds a request with `?wait=true` waits for the replies before it gets 202.",
    )
    rest_webhook: Access = Field(
        "loopback",
        description="Rasa's REST channel: `loopback` (clients on this machine), `on` or `off`.",
    )
    detail: Access = Field(
        "loopback",
        description="Who may ask what was understood (`&detail=true`): `loopback`, `on` or `off`.",
    )
    turn_timeout_s: float = Field(
        30.0, gt=0, description="Seconds one try of a turn may take in the dialogue process."
    )
    turn_retry_s: float = Field(
        120.0,
        gt=0,
        description="Seconds a turn is tried while the processes behind the gateway are down, "
        "before the customer gets the apology.",
    )
    turn_concurrency: int = Field(
        64, gt=0, description="Turns given to the dialogue process at once."
    )
    max_pending: int = Field(
        2000, gt=0, description="Messages that may wait for an answer; beyond, clients get 429."
    )
    max_pending_per_conversation: int = Field(
        100, gt=0, description="The same for one conversation."
    )
    handoff_wait_s: float = Field(
        900.0,
        ge=0,
        description="Seconds of opening hours that a customer waits for a person before the bot "
        "goes on alone; 0: without end.",
    )
    handoff_idle_s: float = Field(
        600.0,
        ge=0,
        description="Seconds a customer's message may wait for the agent who has the "
        "conversation, before it goes back into the queue; 0: without end.",
    )
    handoff_upset_first: bool = Field(
        True, description="Customers handed over for their anger come before the others."
    )
    handoff_position_every_s: float = Field(
        300.0,
        ge=0,
        description="Seconds between messages about a changed place in the queue, on messaging "
        "platforms; 0: never. The widget shows it live.",
    )
    handoff_sweep_s: float = Field(
        5.0, gt=0, description="Seconds between looks at who has waited too long."
    )
    handoff_rest_messages: int = Field(
        5,
        ge=0,
        le=100,
        description="Messages of the customer after a hand-back within which the bot calls no "
        "person by itself; who asks for one gets one.",
    )
    review_double_share: float = Field(
        0.1, ge=0, le=1, description="Share of reviewed turns that two reviewers label, unseen."
    )
    review_random_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of what reviewers are shown that is drawn by lot: the baseline.",
    )
    review_per_customer: int = Field(
        5, gt=0, description="Turns of one customer and week that reviewers are shown."
    )
    review_lease_s: float = Field(
        300.0, gt=0, description="Seconds for which a turn is one reviewer's alone."
    )
    review_every_s: float = Field(
        10.0, gt=0, description="Seconds between looks for turns that are worth a review."
    )
    review_approval: Literal["another", "administrator", "anyone"] = Field(
        "another",
        description="Who approves a proposed answer: `another` reviewer than its author, an "
        "`administrator`, or `anyone` who reviews.",
    )
    report_time_zone: str = Field(
        "UTC",
        description="Time zone whose days the voice of the customer counts, such as "
        "`Europe/Berlin`; another one counts everything anew.",
    )
    voice_every_s: float = Field(
        300.0, gt=0, description="Seconds between counts of the voice of the customer."
    )
    watch_false_alarms: float = Field(
        0.25,
        ge=0,
        le=30,
        description="False alarms of the emotion watch that you accept in 30 days, all topics "
        "together; fewer find less. 0: no watch.",
    )
    alert_webhook_url: str | None = Field(
        None,
        description="https address that is told when the emotion watch opens or closes an alert.",
    )
    alert_webhook_secret: SecretStr | None = Field(
        None, description="Key that signs what it is told, at least 32 characters."
    )
    learn_every: str = Field(
        "7d",
        description="How often the learning loop runs by itself: a number with `h`, `d` or `w`, "
        "such as `12h` or `7d`; `off`: only when it is asked for (`kefu learn --once`).",
    )
    learn_release: Literal["person", "canary", "everyone"] = Field(
        "person",
        description="What happens to a version that the proof finds better: it waits for a "
        "`person`, answers a share of the conversations first (`canary`), or `everyone` at once.",
    )
    learn_from: Literal["champion", "scratch"] = Field(
        "champion",
        description="Where a training of the loop begins: at the weights of the `champion`, with "
        "old examples rehearsed, or from `scratch` at the base encoder. One of the `champion` "
        "begins from scratch, too, where the versions since the last such have forgotten.",
    )
    learn_test_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the corrected turns that were drawn by lot (a tenth of what the "
        "review queue shows) that is never trained on, to test with.",
    )
    learn_pseudo_confidence: float = Field(
        0.95,
        ge=0.5,
        le=1,
        description="Confidence from which a turn that nobody corrected teaches what the model "
        "thought of it.",
    )
    learn_pseudo_share: float = Field(
        3.0,
        ge=0,
        le=5,
        description="Most turns that nobody corrected, for each one that somebody did; 0: none.",
    )
    learn_per_customer: int = Field(
        20, gt=0, description="Most turns of one customer in a version of the training data."
    )
    learn_per_source: int = Field(
        200_000,
        gt=0,
        description="Most turns of one kind (corrected, rated, clicked and so on) in a version of "
        "the training data; the newest are kept.",
    )
    learn_protected: dict[str, float] = Field(
        {},
        description="Intents that must not get worse, with the least recall of each (JSON "
        'mapping), such as `{"cancel_order": 0.9}`; nothing unapproved that would change them is '
        "learned.",
    )
    learn_alpha: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="How often, at most, a version that is no better may pass the proof by chance.",
    )
    learn_shadow_turns: int = Field(
        10_000,
        ge=0,
        description="Last messages that a new version is tried on beside the one that answers.",
    )
    learn_questions: int = Field(
        24,
        ge=0,
        le=200,
        description="Messages that people are asked about, in the review queue, where a proof is "
        "open: those that both versions take differently, drawn by lot. None below 8, which are "
        "too few to decide anything.",
    )
    learn_canary_share: float = Field(
        0.1, gt=0, le=0.5, description="Share of the conversations that a canary answers."
    )
    learn_canary_h: float = Field(
        24.0, gt=0, description="Hours that a canary answers before it is for everyone."
    )
    learn_canary_conversations: int = Field(
        200, gt=0, description="Conversations that a canary must have answered before that."
    )
    learn_drift: bool = Field(
        True,
        description="Whether the drift watch may call for a run of the learning loop early.",
    )
    learn_keep: int = Field(
        5,
        ge=0,
        description="Versions that are kept of those that the learning loop made: so many of the "
        "newest, and so many of those that served before; 0: all.",
    )
    learn_port: int = Field(5057, description="Port on which the learning loop says that it is up.")
    apology: str = Field(
        "Sorry, something went wrong on our side. Please write again in a few minutes.",
        description="What the customer reads when a turn could not be done.",
    )
    file_reply: str = Field(
        "Thank you, your file is here. Please tell me in a few words what it shows.",
        description="What the customer reads who sends a file without a word.",
    )
    gateways: int = Field(
        1,
        gt=0,
        description="Gateway processes that `kefu up` runs, on consecutive ports from KEFU_PORT; "
        "more than one needs PostgreSQL, and a load balancer in front.",
    )
    redaction_regions: list[str] = Field(
        ["GB", "US", "CN"],
        description="Countries whose phone numbers are redacted, your own first (JSON list).",
    )
    redaction_keep: list[str] = Field(
        [],
        description="Your own public phone numbers and e-mail addresses, which redaction leaves "
        "in the log (JSON list).",
    )

    @model_validator(mode="after")
    def derive(self) -> Self:
        """An address that was not set follows the port that was; the database, the state folder."""
        derived = {
            "nlu_url": f"http://127.0.0.1:{self.nlu_port}",
            "actions_url": f"http://127.0.0.1:{self.actions_port}",
            "dialogue_url": f"http://127.0.0.1:{self.dialogue_port}",
            "database_url": f"sqlite:///{self.state_dir / 'kefu.db'}",
        }
        for name, value in derived.items():
            if name not in self.model_fields_set:
                setattr(self, name, value)
        return self

    def environment(self) -> dict[str, str]:
        """Every setting as the `KEFU_` variable that a process of ours reads it from."""
        found = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, list | dict):
                text = json.dumps(value, default=_plain)
            else:
                text = _plain(value)
            found[f"KEFU_{name.upper()}"] = text
        return found


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
