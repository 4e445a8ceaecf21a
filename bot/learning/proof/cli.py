"""`kefu prove`: try a version against the one that answers, before anything changes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from bot.errors import LogMissing
from bot.learning.datasets.row import Row
from bot.learning.proof.errors import NothingToProve
from bot.learning.proof.proof import Proof, ProofOrder, prove
from bot.learning.proof.sets import frozen_examples, new_examples, out_of_scope_texts
from bot.learning.proof.terms import ProofTerms
from bot.log.opened import opened_log
from bot.log.shadow_turns import last_texts, texts_of
from bot.settings import Settings

# Scripts branch on them: 1 and 2 are what a command that fails ends with.
EXIT_CODES = {"promote": 0, "hold": 3, "refuse": 4}
_MARKS = {"promote": "+", "pass": "+", "note": " ", "hold": "?", "refuse": "-"}
_SHOWN_CHANGES = 10


@click.command("prove")
@click.argument("challenger")
@click.option("--against", help="Version to compare with; default: the one that answers.")
@click.option(
    "--dataset",
    help="Version of the training data whose test rows are the new data; default: the newest.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the proof as a page; it shows customers' messages, so keep it as you keep the log.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to keep proof.json in; it holds no text.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the proof as JSON.")
@click.pass_context
def prove_command(
    context: click.Context, /, challenger: str, against: str | None, **options: Any
) -> None:
    """Try the version CHALLENGER on the test sets and on the last real messages.

    Ends with 0 to promote it, with 3 to hold it for a person, with 4 to refuse it. Nothing is
    changed.
    """
    settings = Settings()
    proof = _proof(settings, challenger, against, options["dataset"])
    kept = proof.as_json()
    if options["out"] is not None:
        proof.write(options["out"])
    if options["html"] is not None:
        _write_page(kept, options["html"])
    if options["as_json"]:
        click.echo(json.dumps(kept, ensure_ascii=False))
    else:
        _print(proof)
    context.exit(EXIT_CODES[proof.verdict.decision])


def _proof(settings: Settings, challenger: str, against: str | None, dataset: str | None) -> Proof:
    # Imported here: `kefu prove --help` needs no models.
    from bot.bench.report import progress
    from nlu.bundle import BundleStore, read_labels

    store = BundleStore(settings.models_dir)
    champion = against or store.current()
    if champion is None:
        raise NothingToProve(
            "no version answers yet", f"`kefu models activate {challenger}` makes this one"
        )
    if champion == challenger:
        raise NothingToProve(
            f"{challenger} is the version that it would be compared with",
            "name another, or another with --against",
        )
    frozen = frozen_examples(settings.data_dir)
    known = read_labels(store.folder(champion)).intent
    new = new_examples(_rows(settings, dataset), champion=champion, known=known)
    if not frozen and not new:
        raise NothingToProve(
            f"there is no test text in {settings.data_dir / 'test'}",
            "write nlu.yml there, or name a --dataset",
        )

    def run(turns: Iterator[tuple[str, str]]) -> Proof:
        order = ProofOrder(
            champion=store.folder(champion),
            challenger=store.folder(challenger),
            frozen=frozen,
            new=new,
            out_of_scope=out_of_scope_texts([*frozen, *new]),
            shadow=turns,
            terms=ProofTerms.of(settings),
            threads=settings.nlu_threads,
            fallback_threshold=settings.fallback_threshold,
        )
        return prove(order, say=progress)

    return _with_turns(settings.learn_shadow_turns, run)


def _with_turns(limit: int, run: Callable[[Iterator[tuple[str, str]]], Proof]) -> Proof:
    """Give the last real messages to `run`; none where there is no log yet."""
    if limit == 0:
        return run(iter(()))
    try:
        with opened_log() as connection:
            return run(last_texts(connection, limit=limit))
    except LogMissing:
        return run(iter(()))


def _rows(settings: Settings, dataset: str | None) -> Iterator[Row]:
    from bot.learning.datasets.store import DatasetStore

    store = DatasetStore(settings.state_dir)
    version = dataset or next(reversed(store.versions()), None)
    return iter(()) if version is None else store.rows(version)


def _write_page(kept: dict[str, Any], path: Path) -> None:
    from bot.learning.proof.page import LISTED, render

    wanted = [change["turn_id"] for change in kept["shadow"]["changes"][:LISTED]]
    texts: dict[str, str] = {}
    if wanted:
        with opened_log() as connection:
            texts = texts_of(connection, turn_ids=wanted)
    page = render(kept, text_of=texts.get)
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise click.ClickException(
            f"--html {path}: {error.strerror}; name a writable file"
        ) from None


def _print(proof: Proof) -> None:
    click.echo(f"{proof.verdict.decision}: {proof.challenger} against {proof.champion}")
    for reason in proof.verdict.reasons:
        click.echo(f"{_MARKS[reason.level]} {reason.sentence}")
    for before, after, count in proof.shadow.pairs[:_SHOWN_CHANGES]:
        click.echo(f"  {count}x {before} would become {after}")
