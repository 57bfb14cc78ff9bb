"""A Streamlit page that sells credits and spends them: streamlit run app.py

DATABASE_URL is for credits.py.  The database's setting success_url says how
the buyer comes back: https://example.com/?session_id={CHECKOUT_SESSION_ID}
"""
import logging
import uuid

import streamlit as st

import credits

MOST = 20  # credits that one answer may cost


def generate(prompt: str) -> tuple[str, int]:
    """Your model goes here: its answer, and what that costs."""
    words = prompt.split()[:MOST]
    return ' '.join(reversed(words)), len(words)


def form_key(form: str) -> str:
    """The key of what a form asks for, until that is under way.

    It is the button's own too, so the second of two quick clicks finds none.
    """
    return page.setdefault(form, str(uuid.uuid4()))


def answer(prompt: str) -> str:
    try:
        with credits.held(user_id, MOST, form_key('generate')) as hold:
            page.pop('generate')
            text, hold.used = generate(prompt)
        return text
    except credits.NotEnoughCredits:
        return f'This takes up to {MOST} credits: please buy some.'
    except Exception:
        logging.exception('generate')
        return 'That failed. Please try again.'


st.title('Credits')
if not st.user.is_logged_in:
    st.button('Log in', on_click=st.login)
    st.stop()
# Whose credits they are says the login, never what a browser can write, such
# as the query string.  "sub" stays the same when somebody's address changes.
user_id = st.user.sub
# A dict of ours: the next click can interrupt writing to st.session_state.
page = st.session_state.setdefault('page', {})

if session_id := st.query_params.pop('session_id', None):
    try:
        purchase = credits.came_back(session_id)
    except credits.NotFound:
        purchase = {}
    if purchase.get('account') != user_id:
        st.error('You have no such purchase.')
    elif purchase.get('credits'):
        st.success(f"{purchase['credits']} credits have arrived.")
    else:
        st.info('Your credits will come as soon as the payment does.')
prompt = st.text_area('Prompt')
if st.button('Generate', key=form_key('generate')):
    page['answer'] = answer(prompt)
    st.rerun()
st.write(page.get('answer', ''))
st.metric('Available', credits.balance(user_id)['available'])
for pack in credits.packs():
    form = f"buy {pack['pack_id']}"
    if st.button(f"Buy {pack['name']}", key=form_key(form)):
        page['link'] = credits.buy(user_id, pack['pack_id'], form_key(form))
        page.pop(form)
        st.rerun()
if 'link' in page:
    st.link_button('Pay at Stripe', page['link'])
st.dataframe(credits.history(user_id))
