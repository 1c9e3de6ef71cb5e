"""Publishes, lists, and reads a feed and an error with a client that is generated from openapi.json.

The URL of the server, the token of a service and that of the user ann are the arguments.
"""

import sys

from tidings_api import AuthenticatedClient, Client
from tidings_api.api.feeds import read_feed
from tidings_api.api.probes import readyz
from tidings_api.api.push_service import list_unread, list_unread_by_get, publish
from tidings_api.models import AudienceUserId, Draft, Error, Kind, ListUnreadRequest, PublishRequest, ReadFeedFeed

url, service_token, user_token = sys.argv[1:]
service = AuthenticatedClient(base_url=url, token=service_token)
user = AuthenticatedClient(base_url=url, token=user_token)


def request(user_id: str) -> PublishRequest:
    return PublishRequest(
        audience=AudienceUserId(user_id=user_id),
        message=Draft(kind=Kind.KIND_NOTIFICATION, title="Hello", json={"task": [7]}, ttl="3600s"),
    )


published = publish.sync(client=service, body=request("ann"))
print(len(published.message_id), published.receipts[0].user_id, published.receipts[0].stored)

listed = list_unread.sync(client=user, body=ListUnreadRequest(page_size=5))
print(listed.messages[0].title, listed.messages[0].json, listed.unread.total, listed.messages[0].publish_time.year > 2000)

by_get = list_unread_by_get.sync(client=user, encoding="json", message='{"categories":["none"]}')
print(by_get.messages, by_get.unread.total)

feed = read_feed.sync(client=user, feed=ReadFeedFeed.USER, kinds=[Kind.KIND_NOTIFICATION])
print([message.title for message in feed])

refused = publish.sync(client=service, body=request(""))
assert isinstance(refused, Error)
print(refused.code, refused.details[0].debug.reason, refused.details[0].debug.metadata["field"])

print(readyz.sync_detailed(client=Client(base_url=url)).status_code.value)
