"""uWebSockets by socketify: WebSocket clients of one topic, and POST /send/<n>, which publishes n messages to it.

Arguments: the port and the message. The process ends with stdin, so that it does not outlive the benchmark.
"""

import os
import sys
import threading

from socketify import App, AppListenOptions, CompressOptions, OpCode

PORT = int(sys.argv[1])
MESSAGE = sys.argv[2]


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


def on_open(ws):
    ws.subscribe("bench")
    ws.send("ready", OpCode.TEXT)


def on_send(res, req):
    for _ in range(int(req.get_parameter(0))):
        app.publish("bench", MESSAGE, OpCode.TEXT)
    res.end("sent")


threading.Thread(target=end_with_stdin, daemon=True).start()
app = App()
# The longest timeout that uWebSockets has: no pings are measured.
app.ws("/", {"compression": CompressOptions.DISABLED, "idle_timeout": 960, "open": on_open})
app.post("/send/:count", on_send)
app.listen(AppListenOptions(port=PORT, host="127.0.0.1"))
app.run()
