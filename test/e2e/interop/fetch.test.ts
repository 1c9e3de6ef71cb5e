import { fetchDriver } from "./fetch.ts";
import { scenario } from "./scenario/index.ts";

scenario("fetch: POST", (url) => fetchDriver(url, false));
scenario("fetch: GET for methods without side effects", (url) => fetchDriver(url, true));
