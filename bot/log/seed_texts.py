"""What the seeded customers and the bot say: from the example business's own data."""

import csv
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.bench.texts import examples_of
from bot.errors import KefuError
from bot.log.search_terms import words_of
from bot.redaction import Redactor

# The example business has no Chinese texts: these are asked and answered in WeChat.
CHINESE = {
    "track_order": ("请问我的订单到哪里了", "我的快递三天没有更新了", "包裹什么时候能送到"),
    "ask_return_policy": ("收到的杯子可以退货吗", "退货的运费谁出", "超过三十天还能退吗"),
    "ask_refund_status": ("退款什么时候到账", "我的退款还没有收到", "已经退货了怎么还不退款"),
    "report_damaged": ("收到的时候盘子碎了", "包装破损 里面的灯坏了", "锅的手柄断了"),
    "ask_exchange": ("外套太小了可以换大一号吗", "想换一个颜色"),
    "ask_human": ("我要找人工客服", "转人工"),
    "make_complaint": ("你们的服务太差了 我要投诉", "等了两个星期还没有人回复"),
    "greet": ("你好", "在吗"),
    "thank": ("谢谢", "好的 谢谢你"),
}
CHINESE_ANSWERS = (
    "您好 订单一般在三到五个工作日内送达 您可以在账户里查看物流信息。",
    "三十天内未使用的商品可以免费退货 请在账户里打印退货标签。",
    "收到退货以后 退款会在五个工作日内原路返回。",
)
SMALL_ANSWERS = {
    "greet": "Hello! How can I help you today?",
    "goodbye": "Goodbye, and thank you for shopping with us.",
    "thank": "You're welcome!",
    "nlu_fallback": "I'm not sure I understood. Did you mean one of these?",
}
AGENT_LINES = (
    "Hello, {agent} here. I am looking into it now.",
    "I have asked the warehouse and they found your parcel. It goes out again today.",
    "I have sent you a new one, free of charge. I am sorry for the trouble.",
    "The refund is on its way and reaches your account within five working days.",
    "Could you send me a photo of the damage, please?",
)
# Words that few conversations have, for searches that find little.
RARE_WORDS = ("albatross", "periwinkle", "zanzibar")


@dataclass(frozen=True, slots=True)
class Said:
    """A text with the words that a search finds it by."""

    text: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bot says; `pair_id` of a stored answer."""

    said: Said
    pair_id: str | None
    question: str | None


class Material:
    """The texts by intent and by emotion, and the answers by intent."""

    def __init__(self, data_dir: Path) -> None:
        redactor = Redactor()

        def said(text: str) -> Said:
            clean = redactor.redact(text).text
            return Said(clean, tuple(words_of([clean])))

        try:
            examples = examples_of(data_dir / "nlu.yml")
            with (data_dir / "emotion.csv").open(encoding="utf-8", newline="") as rows:
                feelings = [(row["text"], row["emotion"]) for row in csv.DictReader(rows)]
            pairs = [
                pair
                for path in sorted((data_dir / "qa").glob("*.yml"))
                for pair in yaml.safe_load(path.read_text(encoding="utf-8"))["pairs"]
            ]
        except OSError as error:
            raise SeedDataMissing(data_dir) from error
        self.by_intent = {
            intent: [said(text) for text in texts if not text.startswith("/")]
            for intent, texts in examples.items()
        }
        self.by_emotion: dict[str, list[Said]] = defaultdict(list)
        for text, emotion in feelings:
            self.by_emotion[emotion].append(said(text))
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        for pair in pairs:
            answer = Answer(said(pair["answer"]), pair["id"], pair["question"])
            self.answers[pair["intent"]].append(answer)
        for intent, text in SMALL_ANSWERS.items():
            self.answers[intent].append(Answer(said(text), None, None))
        self.other_answer = Answer(said("Thank you, I have made a note of that."), None, None)
        self.chinese = {intent: [said(text) for text in texts] for intent, texts in CHINESE.items()}
        self.chinese_answers = [Answer(said(text), None, None) for text in CHINESE_ANSWERS]
        self.agent_lines = AGENT_LINES

    def answer(self, draw: random.Random, intent: str, *, chinese: bool) -> Answer:
        """Something the bot may say to an intent."""
        if chinese:
            return draw.choice(self.chinese_answers)
        found = self.answers.get(intent)
        return draw.choice(found) if found else self.other_answer

    def text(self, draw: random.Random, intent: str, emotion: str, *, chinese: bool) -> Said:
        """Something a customer may say who wants this and feels so."""
        if chinese:
            return draw.choice(self.chinese.get(intent) or self.chinese["track_order"])
        if emotion != "neutral" and draw.random() < 0.5 and self.by_emotion[emotion]:
            return draw.choice(self.by_emotion[emotion])
        found = self.by_intent.get(intent)
        return draw.choice(found or self.by_emotion["neutral"])


class SeedDataMissing(KefuError):
    """The example business is not where the settings say."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"no nlu.yml, emotion.csv and qa/ in {data_dir}; set KEFU_DATA_DIR to the example's"
        )
