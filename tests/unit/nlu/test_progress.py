import io

from nlu.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_only_for_terminals() -> None:
    terminal, file = Terminal(), io.StringIO()
    assert list(Progress(terminal).steps(range(3), 3, "epoch 1/1")) == [0, 1, 2]
    assert list(Progress(file).steps(range(3), 3, "epoch 1/1")) == [0, 1, 2]
    assert "epoch 1/1" in terminal.getvalue()
    assert file.getvalue() == ""


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    Progress(stream, quiet=True).say("news")
    Progress(stream).say("more news")
    assert stream.getvalue() == "more news\n"
