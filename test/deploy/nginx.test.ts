import { expect } from "vitest";
import { journeys } from "./journeys.ts";
import { nginx, startNginx } from "./proxy.ts";

journeys("deploy/nginx.conf", nginx, startNginx, (configuration) => {
  const short = configuration.replaceAll(/(proxy|grpc)_(read|send)_timeout \w+;/g, "$1_$2_timeout 1s;");
  expect(short).not.toBe(configuration);
  return short;
});
