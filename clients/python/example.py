"""Signs somebody up, finds them again by their e-mail address, and writes notes to wherever they live.

    DOMICILE_URL=http://127.0.0.1:7700 DOMICILE_TOKEN=... python3 example.py SUBJECT EMAIL COUNTRY [--until-moved]
"""
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

from domicile import Domicile

subject, email, country = sys.argv[1:4]
until_moved = "--until-moved" in sys.argv
directory = Domicile(os.environ["DOMICILE_URL"], os.environ["DOMICILE_TOKEN"], os.environ.get("DOMICILE_SERVICE", "main"))

# Sign-up: the name is kept, the home is chosen, the rows are written there, the name is theirs.
attempt = str(uuid.uuid4())
directory.claim("reserve", "email", email, subject=subject, attempt=attempt)
home = directory.sign_up(subject, country)
# ... here: BEGIN; select domicile.sign_up(subject, epoch); INSERT the rows ...
directory.claim("commit", "email", email, subject=subject, attempt=attempt)
# ... here: COMMIT; where it fails: directory.claim("release", ..., attempt=attempt) ...
print(f"signed up at {home.region}, epoch {home.epoch}", flush=True)

# Login, anywhere: the name says where they live.
print(f"found at {directory.claim('resolve', 'email', email)['region']}", flush=True)


def note(home):
    """Writes one note; the application answers 421 where the writer has moved, before any effect."""
    request = urllib.request.Request(f"{home.endpoint}/notes/{quote(subject, safe='')}", b"hello", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as no:
        with no:
            return no.code, no.read().decode()


regions = set()
for number in range(1, 1000):
    status, text = directory.at_home(subject, note, moved=lambda answer: answer[0] == 421)
    assert status == 200, (status, text)
    regions.add(directory.home(subject).region)
    print(f"note {number}: {text}", flush=True)
    if not until_moved or len(regions) > 1:
        break
    time.sleep(0.05)
