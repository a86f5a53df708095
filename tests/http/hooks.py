"""A check of schemathesis with the status that clients of this API expect."""

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario


@schemathesis.check
def wrong_method_is_no_route(ctx, response, case):
    """An undeclared method is 404, with the body that says so."""
    data = case.meta.phase.data if case.meta is not None else None
    if not isinstance(data, CoveragePhaseData):
        return
    if data.scenario != CoverageScenario.UNSPECIFIED_HTTP_METHOD:
        return
    found = response.status_code
    name = response.json()["exception"]["name"] if found == 404 else None
    if name != "RouteNotFoundException":
        raise Failure(
            operation=case.operation.label,
            title="Wrong response to a wrong method",
            message=f"{response.request.method} got {found} {name}, not 404 RouteNotFoundException",
        )
