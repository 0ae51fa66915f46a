"""Times karrio's own parser on the payloads in a folder; run by the Python of an environment that holds karrio."""

import contextlib
import io
import json
import re
import statistics
import sys
import time
from pathlib import Path

NOBODY = dict.fromkeys(("client_id", "client_secret"), "x")
"""Parsing asks nobody: the settings only have to be there."""


def main() -> None:
    """Prints `{"ups": seconds for one answer, "usps": ...}`, each the median of several rounds over the folder."""
    import karrio.lib as lib
    from karrio.mappers.ups.settings import Settings as Ups
    from karrio.mappers.usps.settings import Settings as Usps
    from karrio.providers.ups import tracking as ups
    from karrio.providers.usps import tracking as usps

    folder, found = Path(sys.argv[1]), {}
    parsers = {
        "ups": (ups.parse_tracking_response, Ups(**NOBODY, account_number="A1B2C3")),
        "usps": (usps.parse_tracking_response, Usps(**NOBODY, account_type="EPS")),
    }
    for name, (parse, settings) in parsers.items():
        bodies = [path.read_bytes() for path in sorted(folder.glob(f"{name}-*.json"))]
        if name == "usps":  # it refuses an instant with an offset, as v3r2 sends them: given v3's, which it knows
            bodies = [re.sub(rb'("eventTimestamp": "[^"]{19})[^"]*"', rb'\1Z"', body) for body in bodies]
        rounds = []
        for _ in range(5):
            began = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):  # it prints every key that it does not know
                for body in bodies:
                    answer = json.loads(body)
                    one = answer[0] if isinstance(answer, list) else answer
                    details, _messages = parse(lib.Deserializable([("number", one)], lambda value: value), settings)
                    assert details and details[0].events, f"{name}: nothing was parsed"
            rounds.append((time.perf_counter() - began) / len(bodies))
        found[name] = statistics.median(rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
