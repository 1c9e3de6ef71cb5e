import { scenario } from "./scenario/index.ts";
import { wsDriver, wsTraits } from "./ws.ts";

scenario("ws: tidings.v1.json", (url) => wsDriver(url, "tidings.v1.json"), wsTraits);
scenario("ws: tidings.v1.proto", (url) => wsDriver(url, "tidings.v1.proto"), wsTraits);
