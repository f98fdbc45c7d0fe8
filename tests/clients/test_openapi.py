"""/openapi.json is true: schemathesis makes requests of what it says, right ones and wrong ones, and holds the answers against it.
OPENAPI_CASES of them in all (20,000 by `make test-clients`, some hundreds by `make test`)."""
import json
import os
import urllib.request

import schemathesis
from client_kit import KEY, URL
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

CASES = int(os.environ.get("OPENAPI_CASES", "300"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
document = json.load(urllib.request.urlopen(URL + "/openapi.json", timeout=10))
schema = schemathesis.openapi.from_dict(document)
schema.config.update(base_url=URL)
# those without a parameter and a body are tried once
rich = sum("parameters" in op or "requestBody" in op for methods in document["paths"].values() for op in methods.values())
done = [0]


@schema.parametrize()
@settings(max_examples=max(CASES * 11 // (rich * 10) + 1, 3), deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None)
def test_answers_are_as_the_document_says(case):
    done[0] += 1
    case.call_and_validate(checks=CHECKS, headers={"Authorization": "Bearer " + KEY}, timeout=60)


def test_there_were_as_many_cases_as_were_wanted():
    assert done[0] >= CASES * 0.95, f"{done[0]} cases of {CASES}"
