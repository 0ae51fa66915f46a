"""Who is asking: the client's network, past as many proxies as are ours."""

from aiohttp import web

from fleet.failures import network_of


def network(request: web.Request, proxies: int) -> str:
    """The client's network. Behind proxies of ours: what the outermost of them wrote in X-Forwarded-For."""
    if proxies:
        written = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        if len(entries := [entry.strip() for entry in written if entry.strip()]) >= proxies:
            return network_of(entries[-proxies])
    return network_of(request.remote or "")
