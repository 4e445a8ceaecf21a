"""The chat's own logic, in Node.js: the tests themselves are in web/conversation.mjs."""

from pathlib import Path

from bot.web import build

TESTS = Path(__file__).parent / "web"


def test_whose_messages_go_where(tmp_path: Path) -> None:
    build.install()
    bundle = tmp_path / "conversation.mjs"
    build._node(
        [
            str(build.MODULES / "esbuild" / "bin" / "esbuild"),
            str(TESTS / "conversation.mjs"),
            "--bundle",
            "--platform=node",
            "--format=esm",
            "--log-level=warning",
            f"--alias:socket.io-client={TESTS / 'no_socket.mjs'}",
            f"--outfile={bundle}",
        ],
        "esbuild",
        timeout_s=60,
    )
    # Raises with what the tests said.
    build._node(["--test", str(bundle)], "node --test", timeout_s=60)
