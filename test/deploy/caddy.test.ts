import { journeys } from "./journeys.ts";
import { caddy, startCaddy } from "./proxy.ts";

// Caddy itself sets no bound on the silence of a stream.
journeys("deploy/Caddyfile", caddy, startCaddy, (configuration) => configuration);
