"""Runs the job-group polling of the public `trifacta` package against the server, unchanged.

Usage: trifacta_polling.py URL TOKEN_FILE

The package has two loops that poll a job group: `Client.run_job`, and `WrangleFlow.run_job` with its
own way to send requests. The first starts a recipe by its id, which here is an output by its number, and
everything is theirs. The second begins with flows that are being edited, which this server has not; so
what starts is an output of a deployment, and from the answer on everything is theirs: addresses,
headers, reading of bodies, and the comparison that ends the loop.

Both loops wait for `Complete` alone: a group that failed or was cancelled is polled for ever. The
words are checked by ending such a loop from outside, in the pause between two polls.
"""

import importlib
import json
import os
import sys
import tempfile
import time
import unittest.mock

import requests

HOME = tempfile.mkdtemp()
os.environ["HOME"] = HOME

# The package asks for a Python that is no longer maintained and for much that polling does not use.
# What is not installed of that is a stand-in which is only ever imported.
for name in [
    "boto3", "ijson", "ipywidgets", "numpy", "pandas", "pywebhdfs", "pywebhdfs.webhdfs", "regex",
    "simplejson", "slugify",
]:
    try:
        importlib.import_module(name)
    except ImportError:
        sys.modules[name] = unittest.mock.MagicMock()

from trifacta import client as their_client
from trifacta.tfobjects import wrangle_flow as their_flow
from trifacta.util import tfconfig

PACKAGE = """
jobwright: 1
name: polled
flows:
  polled:
    executor: mock
    steps:
      work: { kind: wrangle, payload: {} }
      fail: { kind: wrangle, payload: {} }
      hang: { kind: wrangle, payload: {} }
    outputs:
      work: { steps: [work] }
      fail: { steps: [fail] }
      hang: { steps: [hang] }
"""

URL, TOKEN = sys.argv[1], open(sys.argv[2]).read()
OURS = {"Authorization": "Bearer " + TOKEN}


def ask(method, path, status, **more):
    answer = requests.request(method, URL + path, headers=OURS, **more)
    assert answer.status_code == status, (path, answer.status_code, answer.text)
    return answer.json()


class Enough(Exception):
    """Ends a loop of theirs that does not end by itself."""


class Pauses:
    """Stands in for their pauses: short ones, and what is to happen in them."""

    def __init__(self, most, then):
        self.count, self.most, self.then = 0, most, then

    def __call__(self, seconds):
        self.count += 1
        if self.count == 2:
            self.then()
        if self.count > self.most:
            raise Enough
        time_sleep(0.02)


def start(output):
    body = {"deployment": {"id": DEPLOYMENT}, "output": {"name": output}}
    return ask("POST", "/v4/jobGroups", 201, json=body)


def cancel_of(group):
    return lambda: ask("POST", "/v4/jobGroups/%d/cancel" % group["id"], 200)


class Recorded:
    """Hands their requests on as they are, and keeps what they got."""

    def __init__(self):
        self.group, self.bodies, self.urls = {}, [], []

    def get(self, url, *more, **named):
        answer = requests.get(url, *more, **named)
        self.urls.append(url)
        self.bodies.append(answer.text)
        return answer

    def post(self, url, **named):
        answer = requests.post(url, **named)
        assert answer.status_code == 201, answer.text
        self.group.update(answer.json())
        return answer


def poll_with_client(output, then=None, most=2):
    """`Client.run_job`: returns what the last poll read, and whether the loop ended by itself."""
    seen = Recorded()
    their_client.requests = seen
    pauses = Pauses(most, then(seen.group) if then else cancel_not)
    their_client.time = type("Time", (), {"sleep": pauses})
    ended = True
    try:
        ended = their_client.Client(URL, TOKEN).run_job(NUMBERS[output])
    except Enough:
        ended = False
    status = "%s/v4/jobGroups/%d/status" % (URL, seen.group["id"])
    assert seen.urls and all(url == status for url in seen.urls)
    return seen.bodies[-1], ended


def poll_with_flow(output, then=None, most=2):
    """`WrangleFlow.run_job`, which asks for `/v4/jobgroups/<id>/status`."""
    group = start(output)
    flow = object.__new__(their_flow.WrangleFlow)
    flow.cache, flow.recipe_dict = {}, {"recipe": None}
    flow.recipe_name_to_output_id = {"recipe": 1}
    flow._run_flow = lambda **_: group
    flow._getOutputUrl = lambda _: None
    their_flow.sleep = Pauses(most, then(group) if then else cancel_not)
    ended = True
    try:
        assert flow.run_job(recipe_name="recipe") == group
    except Enough:
        ended = False
    url = "/v4/jobgroups/%d/status" % group["id"]
    return json.dumps(their_flow.tfrequests.get(url).json()), ended


def cancel_not():
    pass


time_sleep = time.sleep
tfconfig.setup_configuration("nobody", TOKEN, URL, HOME + "/.trifacta.py.conf")
DEPLOYMENT = ask("POST", "/v4/deployments", 201, json={"name": "polled by others"})["id"]
RELEASES = "/v4/deployments/%d/releases" % DEPLOYMENT
IMPORTED = ask("POST", RELEASES, 201, files={"data": ("package.yaml", PACKAGE)})
NUMBERS = {it["name"]: it["id"] for it in IMPORTED["outputobjects"]}

for poll in (poll_with_client, poll_with_flow):
    for output, then, expect in [
        ("work", None, ('"Complete"', True)),
        ("fail", None, ('"Failed"', False)),
        ("hang", None, ('"InProgress"', False)),
        ("hang", cancel_of, ('"Canceled"', False)),
    ]:
        found = poll(output, then, most=40 if output == "work" else 12)
        assert found == expect, (poll.__name__, output, found, expect)
        print(poll.__name__, output, "cancelled" if then else "", found)
