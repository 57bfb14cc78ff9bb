"""examples/python, for tests: python_app.py DIR, where DIR has its files.

Reads a JSON object a line, and answers with one:

    {"call": "spend", "arguments": ["ada", 3, "key"]}    one of credits.py
    {"held": ["ada", 5, "key"], "used": 2}               what the body says
    {"held": ["ada", 5, "key"], "raise": "KeyError"}     or by which it fails
    {"page": {"session": "tab 1", "user": {"sub": "ada"}, "query": {},
              "texts": {}, "click": [LABEL, KEY]}}       a run of app.py

Answers are {"answer": ...}, which is for a hold what balance() was inside it;
for a page {"shown": [...], "query": {...}, "runs": 1}; or {"error": {...}}.
"""
import builtins
import json
import logging
import os
import runpy
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])
logging.disable()

import credits  # noqa: E402
import streamlit  # noqa: E402  the one beside this file

sessions: dict[str, dict[str, Any]] = {}


def hold(case: dict[str, Any]) -> dict[str, Any]:
    with credits.held(*case['held']) as held:
        inside = credits.balance(case['held'][0])
        if 'raise' in case:
            raise getattr(builtins, case['raise'])('of the body')
        held.used = case.get('used', held.used)
    return {'answer': inside}


def run_page() -> None:
    streamlit.shown.clear()
    try:
        runpy.run_path(os.path.join(sys.argv[1], 'app.py'))
    except streamlit.Stop:
        pass


def page(case: dict[str, Any]) -> dict[str, Any]:
    streamlit.session_state = sessions.setdefault(case['session'], {})
    streamlit.user.claims = case.get('user')
    streamlit.query_params = case.get('query', {})
    streamlit.texts = case.get('texts', {})
    streamlit.click = tuple(case['click']) if 'click' in case else None
    for run in range(1, 4):
        try:
            run_page()
            break
        except streamlit.Rerun:
            streamlit.click = None
    return {'shown': streamlit.shown, 'query': streamlit.query_params,
            'runs': run}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    if 'call' in case:
        function = getattr(credits, case['call'])
        return {'answer': function(*case['arguments'])}
    return hold(case) if 'held' in case else page(case['page'])


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except BaseException as error:
        result = {'error': {'type': type(error).__name__,
                            'message': str(error),
                            'code': getattr(error, 'pgcode', None)}}
    print(json.dumps(result, default=str), flush=True)
