"""A stand-in for Streamlit, for tests: what examples/python/app.py uses of it.

What the page shows is written down instead, and clicks come from a test.
"""
from typing import Any, Callable

session_state: dict[str, Any] = {}
query_params: dict[str, str] = {}
shown: list[list[Any]] = []
texts: dict[str, Any] = {}  # what stands in each field
click: tuple[str, str | None] | None = None  # label and key of a button


class ScriptControl(BaseException):
    """As Streamlit's own: no Exception, so that no page catches it."""


class Stop(ScriptControl):
    pass


class Rerun(ScriptControl):
    pass


class User:
    """Who is logged in: the claims of a token, or nobody."""
    claims: dict[str, str] | None = None

    @property
    def is_logged_in(self) -> bool:
        return self.claims is not None

    def __getattr__(self, claim: str) -> str:
        return (self.claims or {})[claim]


user = User()


def _shows(kind: str) -> Callable[..., None]:
    return lambda *values: shown.append([kind, *values])


title, write, metric, dataframe, error, success, info, link_button = map(
    _shows, ['title', 'write', 'metric', 'dataframe', 'error', 'success',
             'info', 'link_button'])


def login() -> None:
    shown.append(['login'])


def text_area(label: str) -> Any:
    shown.append(['text_area', label])
    return texts.get(label, '')


def button(label: str, key: str | None = None,
           on_click: Callable[[], None] | None = None) -> bool:
    assert all(other[:1] + other[2:] != ['button', key] for other in shown
               if key is not None), 'Streamlit refuses a key used twice'
    shown.append(['button', label, key])
    clicked = click is not None and click == (label, key or click[1])
    if clicked and on_click is not None:
        on_click()
    return clicked


def stop() -> None:
    raise Stop


def rerun() -> None:
    raise Rerun
