import { journeys } from "./journeys.ts";
import { caddyPath, startCaddy } from "./proxy.ts";

// Caddy itself sets no bound on the silence of a stream.
journeys("deploy/Caddyfile", caddyPath, startCaddy, (configuration) => configuration);
