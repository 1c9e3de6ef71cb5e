"""A backend in Python, with the SDK of this repository.

    TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... bash run.sh
"""

import os
import sys
import uuid

from tidings import Tidings, TidingsError


def main() -> int:
    with Tidings(os.environ["TIDINGS_URL"], os.environ["TIDINGS_TOKEN"], timeout=10) as tidings:
        # With an id of its own, the order is announced once, however often this program is started again. Each call
        # also retries by itself until its timeout.
        request_id = str(uuid.uuid4())

        def announce():
            return tidings.publish(
                user_ids=["ada", "bob"],
                category="operation",
                title="订单 T1001 等待处理",
                content="Order T1001 waits for you.",
                url="/orders/T1001",
                json={"order": "T1001", "total": 131},
                request_id=request_id,
            )

        first = announce()
        print(f"published {first.message_id}")
        for receipt in first.receipts:
            where = f"online on {receipt.connections} pages" if receipt.online else "offline"
            print(f"  {receipt.user_id}: {'stored' if receipt.stored else 'lost'}, {where}")

        second = announce()
        same = second.duplicate and second.message_id == first.message_id
        print("retried:", "the same message, published once" if same else "published twice!")

        try:
            tidings.publish(user_id="ada", title="Order T1001", url="javascript:alert(1)")
        except TidingsError as error:
            print(f"refused: {error.code} {error.reason}: {error.message}")
            return 0
        print("published a dangerous address!")
        return 1


if __name__ == "__main__":
    sys.exit(main())
