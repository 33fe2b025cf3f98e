"""Domicile's directory service for Python 3.9 or later: where each user's data lives. Needs nothing but this file.

Homes are kept with their epochs, which only grow, and asked for again when the application at a home says that
somebody has moved. One object serves all threads. Copy the file; docs/directory-service.md is the guide.
"""
import json
import threading
import urllib.error
import urllib.request
from collections import OrderedDict, namedtuple
from urllib.parse import quote

Home = namedtuple("Home", "region epoch endpoint")


class Refused(Exception):
    """The directory said no: `status` (HTTP), `code` (a stable word, e.g. `taken`), and why."""

    def __init__(self, status, code, why):
        super().__init__(f"{code}: {why}")
        self.status, self.code = status, code


class Domicile:
    def __init__(self, url, token, service="main", timeout_s=10, homes_max=100_000):
        self._base = f"{url}/v1/services/{quote(service, safe='')}/"
        self._token, self._timeout_s, self._homes_max = token, timeout_s, homes_max
        self._homes, self._lock = OrderedDict(), threading.Lock()

    def home(self, subject):
        """The home as far as it is known here, else as the directory says."""
        return self._homes.get(subject) or self.refresh(subject)

    def refresh(self, subject, wait_s=0):
        """The home as the directory says; with `wait_s` (at most 60) as soon as it is another than the one known here."""
        known = self._homes.get(subject)
        headers = {"If-None-Match": f'"{known.epoch}"'} if known else {}
        path = f"homes/{quote(subject, safe='')}?wait={wait_s if known else 0}"
        try:
            answer = self._ask("GET", path, None, headers, wait_s)
        except Refused as no:
            if no.code == "unknown-home":
                self._homes.pop(subject, None)
            raise
        return self._keep(subject, answer) if answer else known

    def sign_up(self, subject, country, **more):
        """A new subject's home, before its first row is written. `country` is where the person lives, by the account."""
        return self._keep(subject, self._ask("POST", "homes", dict(more, subject=subject, country=country)))

    def claim(self, step, kind, value, **more):
        """`step`: resolve, reserve, commit, release; `more`: subject, attempt, seconds."""
        return self._ask("POST", f"claims/{step}", dict(more, kind=kind, value=value))

    def at_home(self, subject, send, moved, tries=5):
        """`send(home)` until `moved(answer)` is false: an application that had no effect says so (421, RS001)."""
        for _ in range(tries):
            answer = send(self.home(subject))
            if not moved(answer):
                break
            self.refresh(subject, wait_s=2)
        return answer

    def _keep(self, subject, told):
        home = Home(told["region"], told["epoch"], told["endpoint"])
        with self._lock:
            newest = max(self._homes.pop(subject, home), home, key=lambda one: one.epoch)
            self._homes[subject] = newest
            if len(self._homes) > self._homes_max:
                self._homes.popitem(last=False)
            return newest

    def _ask(self, method, path, body, headers={}, wait_s=0):
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s + wait_s) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as no:
            with no:
                if no.code == 304:
                    return None
                try:
                    problem = json.loads(no.read())
                    why = problem.get("detail") or problem["title"]
                    raise Refused(no.code, problem["code"], why) from None
                except (ValueError, KeyError, AttributeError):
                    raise Refused(no.code, "no-problem", no.reason) from None
