"""The types of the contract, generated from the .proto files of Tidings."""

from .admin_service_pb2 import *  # noqa: F403
from .message_pb2 import *  # noqa: F403
from .push_service_pb2 import *  # noqa: F403
