# Set-up, start, test. Everything else is `.venv/bin/kefu --help`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
KEFU := .venv/bin/kefu

.PHONY: up down test check bench format setup setup-dev python

up: setup
	@$(KEFU) up --detach

down:
	@$(KEFU) down

test: setup-dev
	@$(KEFU) prepare
	@HF_HUB_OFFLINE=1 .venv-rasa/bin/python -m pytest -c tests/dialogue/pytest.ini tests/dialogue
	@HF_HUB_OFFLINE=1 .venv/bin/python -m pytest

check: setup-dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/python -m bot.web.build --check

format: setup-dev
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: setup
	@$(KEFU) bench answers --json
	@$(KEFU) bench turns --json
	@$(KEFU) bench delivery --json

setup: python
	@$(PYTHON) bot/setup/bootstrap.py

setup-dev: python
	@$(PYTHON) bot/setup/bootstrap.py --dev

python:
	@test -n "$(PYTHON)" || { echo "kefu needs Python 3.11 or newer and none is on PATH: install it, or run make with PYTHON=/path/to/python3.11"; exit 1; }
