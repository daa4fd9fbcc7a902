"""The notice that a cloud gives before it takes a spot machine away, and what is done of it: Ray drains the node.

A render starts nothing on a node that drains, lets what runs there come to its end or to its last step before the
deadline, and makes the rest elsewhere. Each cloud tells its machines alone, at an address that only they reach.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import ray
from ray._private import services

from ltx_ray.cluster.join import find_head
from ltx_ray.errors import DoesNotFit

#: Clouds give half a minute to two minutes.
POLL_S, ANSWER_S = 3.0, 2.0
#: DRAIN_NODE_REASON_PREEMPTION of Ray's autoscaler.proto.
DRAIN_PREEMPTION = 2
#: So long a machine stays where its cloud says that it goes, and not when.
NOTICE_S = 30.0

_native: Any = ray._raylet  # compiled, without types


class Cloud(NamedTuple):
    """``goes_at`` gets the address, and returns when this machine goes (seconds since 1970), None = nobody says so.

    Raises:
        OSError: the address does not answer.
    """

    address: str
    goes_at: Callable[[str], float | None]


def _aws(address: str) -> float | None:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = _asked(f"{address}/latest/api/token", ttl, method="PUT") or ""
    told = _asked(f"{address}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    if told is None:
        return None
    at = datetime.strptime(json.loads(told)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return at.timestamp()


def _gcp(address: str) -> float | None:
    """Source: https://cloud.google.com/compute/docs/instances/preemptible#preemption_process"""
    told = _asked(f"{address}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return time.time() + NOTICE_S if (told or "").strip() == "TRUE" else None


def _azure(address: str) -> float | None:
    """Source: https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events"""
    told = _asked(f"{address}/metadata/scheduledevents?api-version=2020-07-01", {"Metadata": "true"})
    events = json.loads(told or "{}").get("Events", [])
    times = [event.get("NotBefore") for event in events if event.get("EventType") in ("Preempt", "Terminate")]
    return min((_azure_time(each) for each in times), default=None)


def _azure_time(text: str | None) -> float:
    """An event that has begun has no time any more."""
    return parsedate_to_datetime(text).timestamp() if text else time.time() + NOTICE_S


CLOUDS: Mapping[str, Cloud] = {
    "aws": Cloud("http://169.254.169.254", _aws),
    "gcp": Cloud("http://metadata.google.internal", _gcp),
    "azure": Cloud("http://169.254.169.254", _azure),
}


def watch(cloud: str, address: str | None, tell: Callable[[str], None]) -> None:
    """Wait until the cloud says that this machine goes, and drain its nodes of Ray until then.

    Args:
        address: another one than that of the cloud.
        tell: gets a line when it begins, when the cloud stops answering, and when the machine goes.

    Raises:
        DoesNotFit: no cluster of Ray runs on this machine.
    """
    try:
        where, head = find_head("auto")
    except DoesNotFit as error:
        fix = "run it after `ray start`, or set RAY_ADDRESS to the head's HOST:PORT"
        raise DoesNotFit(f"spot-watch: this machine is in no cluster that can be found; {fix}") from error
    row = CLOUDS[cloud]
    place = (address or row.address).rstrip("/")
    tell(f"waits for a notice of {cloud} at {place}")
    is_heard = True
    while True:
        try:
            goes_at = row.goes_at(place)
            is_heard = True
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            goes_at = None
            if is_heard:
                tell(f"{place} does not answer as {cloud} does ({type(error).__name__}); asks on")
            is_heard = False
        if goes_at is not None:
            drain(where, head, goes_at)
            tell(f"this machine goes in {max(0.0, goes_at - time.time()):.0f} s; its nodes drain")
            return
        time.sleep(POLL_S)


def drain(where: str, head: str, goes_at: float) -> None:
    """Tell the head that the nodes of this machine go at that time."""
    nodes = services.find_node_ids()  # type: ignore[no-untyped-call]
    if not nodes:
        raise DoesNotFit(f"{where}: this machine is no node of that cluster")
    client = _native.GcsClient(address=head)
    for node in nodes:
        is_accepted, why = client.drain_node(node, DRAIN_PREEMPTION, "its cloud takes it away", int(goes_at * 1000))
        if not is_accepted:
            raise DoesNotFit(f"{where}: Ray does not drain node {node}: {why}")


def _asked(url: str, headers: Mapping[str, str], *, method: str = "GET") -> str | None:
    """The answer; None where there is none of this name, which is how clouds say that nothing is planned."""
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ANSWER_S) as answer:
            return str(answer.read(65536).decode())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
