"""Serves karrio's own server with one tracker of twelve events; run by the Python of an environment that holds karrio.

Prints `{"port", "path", "token"}` when its database is ready, and then becomes the server: one worker, four threads.
"""

import json
import os
import socket
import sys

NUMBER = "1Z5338FF0100000005"


def main() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    tracker, token = _rows()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    print(json.dumps({"port": port, "path": f"/v1/trackers/{tracker}", "token": token}), flush=True)
    serve = ("-m", "gunicorn", "karrio.server.wsgi:application", "-b", f"127.0.0.1:{port}", "-w", "1", "--threads", "4")
    os.execv(sys.executable, (sys.executable, *serve, "--log-level", "error"))


def _rows() -> tuple[str, str]:
    """A user's tracker and his token."""
    from django.contrib.auth import get_user_model
    from karrio.server.manager.models import Tracking
    from karrio.server.user.models import Token

    user = get_user_model().objects.create_superuser("peer@example.com", "not a secret")
    event = {"date": "2026-03-05", "time": "09:12", "code": "OT", "description": "Out For Delivery Today"}
    events = [event | {"location": "AMSTERDAM, NL"}] * 12
    carrier = {"carrier_code": "ups", "carrier_id": "ups", "carrier_name": "ups", "connection_id": "car_1"}
    tracker = Tracking.objects.create(
        tracking_number=NUMBER, created_by=user, test_mode=False, status="in_transit", carrier=carrier, events=events
    )
    return tracker.id, Token.objects.create(user=user, label="peer", test_mode=False).key


main()
